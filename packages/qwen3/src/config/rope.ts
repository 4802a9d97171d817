/**
 * The rotary embedding's part of config.json, in both spellings that Hugging Face has used: `rope_theta` beside
 * `rope_scaling` (transformers 4), and both inside `rope_parameters` (transformers 5).
 */
import * as Either from "fp-ts/lib/Either.js";
import { type Fields, fieldsOf } from "./fields.ts";
import { asJsonObject, type JsonObject } from "./json-file.ts";
import {
  type Checked,
  type Problem,
  refuse,
  showGiven,
  unlessProblems,
  unsupportedProblem,
} from "./problems.ts";

const knownKeys = new Set(["rope_theta", "rope_type", "type", "partial_rotary_factor"]);
const largestTheta = 1e15;

/** The base of the rotary angles. Left: absent, not positive, contradictory, or a scaled variant. */
export function ropeThetaOf(fields: Fields): Checked<number> {
  const problems: Problem[] = [];
  const parametersKey = fields.has("rope_parameters") ? "rope_parameters" : undefined;
  for (const key of ["rope_scaling", "rope_parameters"]) {
    if (!fields.has(key)) continue;
    const variant = asJsonObject(fields.get(key), fields.file, `correct "${key}" in the file`);
    if (Either.isLeft(variant)) {
      problems.push(
        ...variant.left.map((problem) => ({ ...problem, requirement: `${key} must be an object or null` })),
      );
    } else problems.push(...unsupportedVariant(variant.right, key, fields.file));
  }
  const partial = fields.get("partial_rotary_factor");
  if (partial !== undefined && partial !== null && partial !== 1) {
    problems.push(partialProblem("partial_rotary_factor", fields.file, partial));
  }
  const nested =
    problems.length === 0 && parametersKey !== undefined
      ? fieldsOf(fields.get(parametersKey) as JsonObject, `${fields.file}: ${parametersKey}`, knownKeys)
      : undefined;
  if (problems.length > 0) return unlessProblems(problems, () => 0);
  if (nested?.has("rope_theta") !== true) return fields.positive("rope_theta", largestTheta);
  const inner = nested.positive("rope_theta", largestTheta);
  if (Either.isLeft(inner) || !fields.has("rope_theta")) return inner;
  return fields.get("rope_theta") === inner.right
    ? inner
    : refuse(fields.file, "rope_theta and rope_parameters.rope_theta must agree", {
        given: `${showGiven(fields.get("rope_theta"))} and ${inner.right}`,
        remedy: "keep the value that the model was trained with",
      });
}

function unsupportedVariant(variant: JsonObject, key: string, file: string): Problem[] {
  const problems: Problem[] = [];
  for (const typeKey of ["rope_type", "type"]) {
    const type = Object.hasOwn(variant, typeKey) ? variant[typeKey] : undefined;
    if (type === undefined || type === null || type === "default") continue;
    problems.push(
      unsupportedProblem(
        file,
        `${key}.${typeKey} must be "default": scaled rotary embeddings are not built yet`,
        {
          given: showGiven(type),
          remedy: `set "${key}" to null and stay within the context length that the model was trained with`,
        },
      ),
    );
  }
  const partial = Object.hasOwn(variant, "partial_rotary_factor") ? variant.partial_rotary_factor : undefined;
  if (partial !== undefined && partial !== null && partial !== 1) {
    problems.push(partialProblem(`${key}.partial_rotary_factor`, file, partial));
  }
  return problems;
}

const partialProblem = (key: string, file: string, given: unknown): Problem =>
  unsupportedProblem(file, `${key} must be 1: Qwen3 rotates all of each head`, {
    given: showGiven(given),
    remedy: "use a dense Qwen3 checkpoint",
  });
