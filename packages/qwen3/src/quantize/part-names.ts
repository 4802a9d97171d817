/** Names and shapes of the tensors that make up a quantised linear. */
import { nvfp4Block } from "@weft/dsl";
import type { Nvfp4Format } from "../weights/index.ts";

export const codesShape = ([rows, columns]: readonly number[]) => [rows!, columns! / 2];
export const scalesShape = ([rows, columns]: readonly number[]) => [rows!, columns! / nvfp4Block];

/** What the parts of a linear are called. */
export function namesOf(parameter: string, format: Exclude<Nvfp4Format, "dat">) {
  const [codes, tensorScale, inputScale] =
    format === "modelopt"
      ? ["", "_scale_2", "input_scale"]
      : ["_packed", "_global_scale", "input_global_scale"];
  return {
    codes: parameter + codes,
    scales: `${parameter}_scale`,
    tensorScale: parameter + tensorScale,
    inputScale: parameter.replace(/weight$/, inputScale!),
  };
}

/** compressed-tensors writes lists of one, ModelOpt scalars. */
export const tensorScaleShape = (format: Nvfp4Format): readonly number[] =>
  format === "modelopt" ? [] : [1];
