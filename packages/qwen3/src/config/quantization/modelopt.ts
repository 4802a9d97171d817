/** What ModelOpt says about a checkpoint, in hf_quant_config.json or config.json. */
import * as Either from "fp-ts/lib/Either.js";
import type { JsonObject } from "../json-file.ts";
import { type Checked, type Problem, showGiven, unlessProblems, unsupportedProblem } from "../problems.ts";
import { isEightBitFloat, namesOf } from "./fields.ts";
import type { QuantizationConfig } from "./quantization-config.ts";

const algorithms: Readonly<Record<string, { readonly activations: boolean }>> = {
  NVFP4: { activations: true },
  W4A16_NVFP4: { activations: false },
};

export function modelOptConfig(given: JsonObject, place: string): Checked<QuantizationConfig> {
  const problems: Problem[] = [];
  const refuse = (requirement: string, value: unknown) => {
    problems.push(
      unsupportedProblem(place, requirement, {
        given: showGiven(value),
        remedy: "use an NVFP4, float32, float16 or bfloat16 checkpoint of the model",
      }),
    );
  };
  const algorithm = given.quant_algo;
  const known = typeof algorithm === "string" && Object.hasOwn(algorithms, algorithm);
  if (!known) refuse(`quant_algo must be ${Object.keys(algorithms).join(" or ")}`, algorithm);
  const size = given.group_size;
  if (size !== undefined && size !== null && size !== 16) refuse("group_size must be 16", size);
  // The two files have different words for the same things.
  const cache = given.kv_cache_quant_algo ?? given.kv_cache_scheme ?? undefined;
  const isCacheFp8 = cache === "FP8" || isEightBitFloat(cache);
  if (cache !== undefined && !isCacheFp8) refuse("kv_cache_quant_algo must be null or FP8", cache);
  const ignore = Object.hasOwn(given, "exclude_modules")
    ? namesOf(given.exclude_modules, "exclude_modules", place)
    : namesOf(given.ignore, "ignore", place);
  if (Either.isLeft(ignore)) problems.push(...ignore.left);
  return unlessProblems(problems, () => ({
    file: place,
    method: "modelopt",
    activations: algorithms[algorithm as string]!.activations,
    targets: ["Linear"],
    ignore: (ignore as Either.Right<readonly string[]>).right,
    kvCache: isCacheFp8 ? "fp8" : undefined,
  }));
}
