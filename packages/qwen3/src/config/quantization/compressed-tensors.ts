/** `quantization_config` as compressed-tensors writes it. */
import * as Either from "fp-ts/lib/Either.js";
import type { JsonObject } from "../json-file.ts";
import { type Checked, type Problem, showGiven, unlessProblems, unsupportedProblem } from "../problems.ts";
import { isEightBitFloat, isNvfp4, isObject, namesOf } from "./fields.ts";
import type { QuantizationConfig } from "./quantization-config.ts";

/** What one group may say besides its targets. */
interface Group {
  readonly targets: readonly string[];
  readonly activations: boolean;
}

export const packedFormat = "nvfp4-pack-quantized";
/** Each group names its own format. */
const mixedFormat = "mixed-precision";
const remedy = "use an NVFP4 checkpoint without it, or a plain one";

export function compressedTensorsConfig(given: JsonObject, place: string): Checked<QuantizationConfig> {
  const problems: Problem[] = [];
  const refuse = (requirement: string, value: unknown) => {
    problems.push(unsupportedProblem(place, requirement, { given: showGiven(value), remedy }));
  };
  const { format, config_groups: groups, transform_config: transforms, sparsity_config: sparsity } = given;
  if (format !== packedFormat && format !== mixedFormat) {
    refuse(`format must be ${packedFormat}`, format);
  }
  if (isObject(transforms) && Object.keys(transforms).length > 0) {
    refuse("transform_config must be empty: turned weights are not built yet", transforms);
  }
  if (isObject(sparsity) && Object.keys(sparsity).length > 0 && sparsity.format !== "dense") {
    refuse("sparsity_config must be empty: sparse weights are not built yet", sparsity);
  }
  const found: Group[] = [];
  if (!isObject(groups) || Object.keys(groups).length === 0) {
    refuse("config_groups must be an object with at least one group", groups);
  } else {
    for (const [name, group] of Object.entries(groups)) {
      const read = groupOf(group, name, format, place);
      if (Either.isLeft(read)) problems.push(...read.left);
      else found.push(read.right);
    }
  }
  const ignore = namesOf(given.ignore, "ignore", place);
  if (Either.isLeft(ignore)) problems.push(...ignore.left);
  const scheme = given.kv_cache_scheme;
  if (scheme !== undefined && scheme !== null && !isEightBitFloat(scheme)) {
    refuse("kv_cache_scheme must be null or a float of 8 bits", scheme);
  }
  return unlessProblems(problems, () => ({
    file: place,
    method: "compressed-tensors",
    activations: found.some(({ activations }) => activations),
    targets: found.flatMap(({ targets }) => targets),
    ignore: (ignore as Either.Right<readonly string[]>).right,
    kvCache: isEightBitFloat(scheme) ? "fp8" : undefined,
  }));
}

function groupOf(group: unknown, name: string, format: unknown, place: string): Checked<Group> {
  const problems: Problem[] = [];
  const refuse = (requirement: string, value: unknown) => {
    problems.push(
      unsupportedProblem(place, requirement, {
        given: showGiven(value),
        path: `config_groups.${name}`,
        remedy,
      }),
    );
  };
  const given = isObject(group) ? group : {};
  const own = given.format ?? (format === mixedFormat ? undefined : packedFormat);
  if (own !== packedFormat) refuse(`format must be ${packedFormat}`, own);
  if (!isNvfp4(given.weights)) {
    refuse("weights must be floats of 4 bits in groups of 16, symmetric", given.weights);
  }
  const activations = given.input_activations;
  if (activations !== undefined && activations !== null && !isNvfp4(activations)) {
    refuse("input_activations must be null, or floats of 4 bits in groups of 16", activations);
  }
  const targets = namesOf(given.targets, "targets", place);
  if (Either.isLeft(targets)) problems.push(...targets.left);
  return unlessProblems(problems, () => ({
    targets: (targets as Either.Right<readonly string[]>).right,
    activations: isObject(activations),
  }));
}
