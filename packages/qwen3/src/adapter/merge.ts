/** A model with its adapters added to the weights: `W + (alpha / rank) B A`, one tensor at a time. */
import type { StateArray, Weight } from "@weft/runtime";
import type { Qwen3Config } from "../config/index.ts";
import { userProblem, WeftError } from "../config/problems.ts";
import { requiredTensors } from "../inference/prepare.ts";
import { fileDtypes } from "../training/file-dtypes.ts";
import { plainWeight, readWeight } from "../training/read-weight.ts";
import type { Trainable } from "../training/trainable.ts";
import {
  bfloat16ToFloat32,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
} from "../weights/dtype.ts";
import type { Adapter } from "./adapter.ts";

export interface MergeOptions {
  readonly config: Qwen3Config;
  /** The base's weights. */
  readonly weights: (name: string) => Weight | undefined;
  readonly adapter: Adapter;
  /** The values of a parameter of the adapter, flat, row-major. */
  readonly values: (name: string) => Float32Array | Promise<Float32Array>;
}

/**
 * Every tensor of the base under its name, shape and dtype, for `exportHuggingFace`. The products are summed in f64 and
 * added to the weight in f32, which is rounded to the weight's own dtype. In memory is the tensor that is read, with
 * its A and B.
 */
export function mergedModel({
  config,
  weights,
  adapter,
  values,
}: MergeOptions): Pick<Trainable, "parameters" | "readState"> {
  const adapters = new Map(adapter.linears.map((one) => [one.weight, one]));
  const weightOf = (name: string): Weight => {
    const weight = plainWeight(name, weights(name));
    if (weight !== undefined) return weight;
    throw new WeftError([userProblem("merge", "must be a parameter of the model", { given: name })]);
  };
  const parameters = requiredTensors(config).map(({ name, shape }) => ({
    name,
    shape,
    dtype: fileDtypes[weightOf(name).dtype],
  }));
  return {
    parameters: () => parameters,
    readState: async (name) => {
      const weight = weightOf(name);
      const own = readWeight(weight);
      const found = adapters.get(name);
      if (found !== undefined) {
        const [a, b] = [await values(found.a.name), await values(found.b.name)];
        addProduct(own, weight.dtype, { a, b, rank: adapter.rank, scale: adapter.alpha / adapter.rank });
        refuseNonFinite(own, weight.dtype, name);
      }
      return new Uint8Array(own.buffer, own.byteOffset, own.byteLength);
    },
  };
}

interface Product {
  /** [rank, in]. */
  readonly a: Float32Array;
  /** [out, rank]. */
  readonly b: Float32Array;
  readonly rank: number;
  readonly scale: number;
}

/** @param weight [out, in], changed in place */
function addProduct(weight: StateArray, dtype: Weight["dtype"], { a, b, rank, scale }: Product): void {
  const [inputs, outputs] = [a.length / rank, b.length / rank];
  const sums = new Float64Array(inputs);
  for (let row = 0; row < outputs; row++) {
    sums.fill(0);
    for (let at = 0; at < rank; at++) {
      const factor = scale * b[row * rank + at]!;
      const offset = at * inputs;
      for (let column = 0; column < inputs; column++) sums[column]! += factor * a[offset + column]!;
    }
    const part = weight.subarray(row * inputs, (row + 1) * inputs);
    const merged = widened(part, dtype);
    for (let column = 0; column < inputs; column++) merged[column]! += sums[column]!;
    part.set(narrowed(merged, dtype));
  }
}

function widened(part: StateArray, dtype: Weight["dtype"]): Float32Array {
  if (part instanceof Uint16Array) return dtype === "bf16" ? bfloat16ToFloat32(part) : float16ToFloat32(part);
  return Float32Array.from(part);
}

function narrowed(values: Float32Array, dtype: Weight["dtype"]): StateArray {
  if (dtype === "bf16") return float32ToBfloat16(values);
  return dtype === "f16" ? float32ToFloat16(values) : values;
}

/** An exponent of all ones is infinity or no number. */
function refuseNonFinite(merged: StateArray, dtype: Weight["dtype"], name: string): void {
  const bits = merged instanceof Uint16Array ? merged : new Uint32Array(merged.buffer);
  const mask = dtype === "f16" ? 0x7c00 : dtype === "bf16" ? 0x7f80 : 0x7f800000;
  for (let at = 0; at < bits.length; at++) {
    if ((bits[at]! & mask) !== mask) continue;
    throw new WeftError([
      userProblem("merge", `the merged weight must be finite in ${dtype}`, {
        given: `element ${at} is not`,
        path: name,
        remedy: dtype === "f16" ? "the values may be too large for f16" : "check adapter and base for NaN",
      }),
    ]);
  }
}
