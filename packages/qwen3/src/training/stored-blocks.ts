/** A weight that is stored in NVFP4: its blocks as files have them, its scales, and the values that these stand for. */
import { encodeScaleName, tensorScaleName } from "@weft/compiler";
import { nvfp4Block } from "@weft/dsl";
import type { Weight } from "@weft/runtime";
import { nvfp4Decode } from "@weft/runtime-cpu";
import { userProblem, WeftError } from "../config/problems.ts";
import { readBytes } from "./read-weight.ts";

export type Weights = (name: string) => Weight | undefined;

/** A weight's NVFP4 form as files have it, row by row. */
export interface StoredBlocks {
  /** [N, K / 2]: two codes a byte. */
  readonly codes: Uint8Array;
  /** [N, K / 16]: E4M3. */
  readonly scales: Uint8Array;
  /** By what values were multiplied before they were encoded: 1 over `tensorScale`, but for a rounding. */
  readonly encodeScale: number;
  /** Values are code x block scale x this. */
  readonly tensorScale: number;
}

export const isInBlocks = (weight: Weight | undefined): boolean => weight?.dtype === "nvfp4";

/** Both forms of the scale of a whole tensor; 1 where the file has none. */
export function scalesOf(weights: Weights, name: string): Pick<StoredBlocks, "encodeScale" | "tensorScale"> {
  const one = (scale: string) => {
    const weight = weights(scale);
    return weight?.kind === "data" ? (weight.data as Float32Array)[0]! : 1;
  };
  return { encodeScale: one(encodeScaleName(name)), tensorScale: one(tensorScaleName(name)) };
}

/**
 * @param name of a weight in NVFP4
 * @throws WeftError where the file cannot be read any more
 */
export function storedBlocks(weights: Weights, name: string): StoredBlocks {
  const weight = inBlocks(weights, name);
  const [codes, scales] = [codesOf(weight), blockScalesOf(weight)];
  return { codes: readBytes(codes), scales: readBytes(scales), ...scalesOf(weights, name) };
}

/** Elements whose values are made at a time: 4 MiB of them. */
const partElements = 1 << 20;

/**
 * The values in C order, f32, a part at a time.
 * @throws WeftError where the file cannot be read any more
 */
export function* dequantisedParts(
  weights: Weights,
  name: string,
): Iterable<{ readonly at: number; readonly values: Float32Array }> {
  const weight = inBlocks(weights, name);
  const { tensorScale } = scalesOf(weights, name);
  const elements = weight.shape.reduce((product, size) => product * size, 1);
  for (let at = 0; at < elements; at += partElements) {
    const count = Math.min(partElements, elements - at);
    const codes = readBytes(codesOf(weight), at / 2, count / 2);
    const scales = readBytes(blockScalesOf(weight), at / nvfp4Block, count / nvfp4Block);
    const values = nvfp4Decode({ codes, scales });
    for (let index = 0; index < values.length; index++) values[index]! *= tensorScale;
    yield { at, values };
  }
}

/** All of them. @throws WeftError where the file cannot be read any more */
export function dequantised(weights: Weights, name: string): Float32Array {
  const { shape } = inBlocks(weights, name);
  const whole = new Float32Array(shape.reduce((product, size) => product * size, 1));
  for (const { at, values } of dequantisedParts(weights, name)) whole.set(values, at);
  return whole;
}

function inBlocks(weights: Weights, name: string): Weight {
  const weight = weights(name);
  if (weight?.dtype === "nvfp4") return weight;
  throw new WeftError([
    userProblem("weights", "must be in NVFP4", { given: weight?.dtype ?? "nothing", path: name }),
  ]);
}

const codesOf = (weight: Weight) => (weight.kind === "file" ? weight : weight.data);
const blockScalesOf = (weight: Weight) => weight.scales!;
