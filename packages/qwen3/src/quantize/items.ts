/** Which tensors of a checkpoint are quantised, and which are taken as they are. */
import { nearestName, nvfp4Block } from "@weft/dsl";
import * as Either from "fp-ts/lib/Either.js";
import {
  type Checked,
  type Problem,
  unlessProblems,
  unsupportedProblem,
  userProblem,
} from "../config/problems.ts";
import { type ModuleTest, moduleTest } from "../config/quantization/index.ts";
import type { Checkpoint, StoredWeights, TensorDtype, TensorEntry } from "../weights/index.ts";
import type { FloatDtype } from "./rows.ts";

export interface Selection {
  /** Patterns for modules that stay as they are, as `moduleTest` reads them. */
  readonly exclude: readonly string[];
  /** Also the head; where it is the embedding and that stays plain, it gets weights of its own. */
  readonly head: boolean;
  /** Also the table of embeddings; a tied head reads its blocks. */
  readonly embedding: boolean;
}

interface Candidate {
  /** The parameter that it becomes, `M.weight`. */
  readonly name: string;
  /** Where its values are; those of a tied head are the embedding's. */
  readonly entry: TensorEntry;
}

/** A plain linear that will be quantised. */
export interface LinearToEncode extends Candidate {
  readonly dtype: FloatDtype;
}

export const tableName = "model.embed_tokens.weight";
export const headName = "lm_head.weight";
const inBlocks = (name: string) => name.startsWith("model.layers.");
export const moduleOf = (parameter: string) => parameter.slice(0, -".weight".length);
const floats: Partial<Readonly<Record<TensorDtype, FloatDtype>>> = { F32: "f32", F16: "f16", BF16: "bf16" };

/**
 * All linears of the blocks of a plain checkpoint without those that are excluded, head and embedding where they are asked
 * for. What an already quantised checkpoint keeps plain was meant to be, and stays so.
 *
 * Left: a pattern that fits no linear, one that fits a linear which is quantised already, rows that are no whole blocks,
 * a type that is no float; all together.
 */
export function linearsToEncode(
  checkpoint: Checkpoint,
  { linears, plain }: StoredWeights,
  { exclude, head, embedding }: Selection,
): Checked<readonly LinearToEncode[]> {
  const blocks = linears.size === 0 ? [...plain.values()] : [];
  const candidates = blocks
    .filter(({ name, shape }) => inBlocks(name) && name.endsWith(".weight") && shape.length === 2)
    .map((entry): Candidate => ({ name: entry.name, entry }));
  const problems: Problem[] = [];
  const table = plain.get(tableName);
  if (embedding && table !== undefined) candidates.push({ name: tableName, entry: table });
  if (head && !linears.has(headName)) {
    const entry = plain.get(headName) ?? (embedding ? undefined : table);
    if (entry !== undefined) candidates.push({ name: headName, entry });
  }
  const left = excluding(exclude, candidates, [...linears.keys()], problems);
  for (const { name, entry } of left) {
    const columns = entry.shape[1]!;
    if (columns % nvfp4Block !== 0 || columns === 0 || entry.shape[0] === 0) {
      problems.push(
        userProblem(entry.file, `K, the last axis, must be a positive multiple of ${nvfp4Block}`, {
          given: `[${entry.shape.join(", ")}]`,
          path: name,
          remedy: `leave it plain: exclude ${moduleOf(name)}`,
        }),
      );
    }
    if (floats[entry.dtype] !== undefined) continue;
    problems.push(
      unsupportedProblem(entry.file, `only ${Object.keys(floats).join(", ")} can be quantised`, {
        given: entry.dtype,
        path: name,
        remedy: `leave it as it is: exclude ${moduleOf(name)}`,
      }),
    );
  }
  if (left.length === 0 && linears.size === 0 && problems.length === 0) {
    problems.push(
      userProblem(checkpoint.source, "must hold linears of blocks to quantise", {
        given: exclude.length === 0 ? "none named model.layers.N..." : "all of them are excluded",
        remedy: "check that this is a Qwen3 checkpoint",
      }),
    );
  }
  return unlessProblems(problems, () =>
    left.map((one): LinearToEncode => ({ ...one, dtype: floats[one.entry.dtype]! })),
  );
}

function excluding(
  patterns: readonly string[],
  candidates: readonly Candidate[],
  quantized: readonly string[],
  problems: Problem[],
): readonly Candidate[] {
  const tests: ModuleTest[] = [];
  for (const pattern of patterns) {
    const test = moduleTest(pattern, "exclude");
    if (Either.isLeft(test)) {
      problems.push(...test.left);
      continue;
    }
    tests.push(test.right);
    const [taken] = quantized;
    if (taken !== undefined) {
      problems.push(
        userProblem(
          "exclude",
          "must be left out for a checkpoint that is quantised already: its codes are kept",
          {
            given: pattern,
            path: taken,
            remedy: "leave it out, or begin with a plain checkpoint",
          },
        ),
      );
    } else if (!candidates.some(({ name }) => test.right(moduleOf(name)))) {
      const near = nearestName(
        pattern,
        candidates.map(({ name }) => moduleOf(name)),
      );
      problems.push(
        userProblem("exclude", "must name a linear that would be quantised", {
          given: pattern,
          remedy: near === undefined ? "use wildcards: '*.down_proj'" : `did you mean ${near}?`,
        }),
      );
    }
  }
  return candidates.filter(({ name }) => !tests.some((test) => test(moduleOf(name))));
}
