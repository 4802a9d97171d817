/** A model with its adapters added to the weights: `W + (alpha / rank) B A`, one tensor at a time. */
import { nvfp4EncodeScale } from "@weft/dsl";
import type { StateArray, Weight } from "@weft/runtime";
import { amax, nvfp4Encode } from "@weft/runtime-cpu";
import type { Qwen3Config } from "../config/index.ts";
import { userProblem, WeftError } from "../config/problems.ts";
import { requiredTensors } from "../inference/prepare.ts";
import { tensorScaleOf } from "../quantize/encode.ts";
import type { ExportedModel } from "../training/checkpoint/export.ts";
import { fileDtypes } from "../training/file-dtypes.ts";
import { modelInBlocks, type QuantizedFormat } from "../training/quantized-model.ts";
import { readWeight } from "../training/read-weight.ts";
import {
  dequantised,
  isInBlocks,
  type StoredBlocks,
  storedBlocks,
  type Weights,
} from "../training/stored-blocks.ts";
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
  readonly weights: Weights;
  readonly adapter: Adapter;
  /** The values of a parameter of the adapter, flat, row-major. */
  readonly values: (name: string) => Float32Array | Promise<Float32Array>;
  /** Of a base with weights in NVFP4: these are encoded again, and written so. Default: they become plain. */
  readonly format?: QuantizedFormat;
  /** With `format`: two scales are tried for each block. Default false. */
  readonly fourOverSix?: boolean;
}

/**
 * Every tensor of the base under its name, shape and dtype, for `exportHuggingFace`. The products are summed in f64 and
 * added to the weight in f32, which is rounded to the weight's own dtype. A weight in NVFP4 is dequantised, and becomes
 * bf16, or f32 where config.json says so; with `format` it is encoded again, but for one without an adapter, whose blocks
 * stay. In memory is the tensor that is read, with its A and B.
 * @throws WeftError for a `format` where no weight of the base is in NVFP4
 */
export function mergedModel(options: MergeOptions): ExportedModel {
  const { config, weights, adapter, values, format, fourOverSix = false } = options;
  const adapters = new Map(adapter.linears.map((one) => [one.weight, one]));
  const dtypeOf = (name: string): Weight["dtype"] => {
    const weight = weights(name);
    if (isInBlocks(weight)) return config.dtype === "f32" ? "f32" : "bf16";
    if (weight !== undefined) return weight.dtype;
    throw new WeftError([userProblem("merge", "must be a parameter of the model", { given: name })]);
  };
  /** The weight with its product, as f32 where it was in blocks. */
  const merged = async (name: string): Promise<StateArray> => {
    const weight = weights(name)!;
    const own = isInBlocks(weight) ? dequantised(weights, name) : readWeight(weight);
    const dtype = isInBlocks(weight) ? "f32" : weight.dtype;
    const found = adapters.get(name);
    if (found === undefined) return own;
    const [a, b] = [await values(found.a.name), await values(found.b.name)];
    addProduct(own, dtype, { a, b, rank: adapter.rank, scale: adapter.alpha / adapter.rank });
    refuseNonFinite(own, dtype, name);
    return own;
  };
  const parameters = requiredTensors(config).map(({ name, shape }) => ({
    name,
    shape,
    dtype: fileDtypes[dtypeOf(name)],
  }));
  const plain: ExportedModel = {
    parameters: () => parameters,
    readState: async (name) => {
      const sum = await merged(name);
      const isRounded = isInBlocks(weights(name)) && dtypeOf(name) === "bf16";
      const stored = isRounded ? float32ToBfloat16(sum as Float32Array) : sum;
      return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
    },
  };
  if (format === undefined) return plain;
  if (!parameters.some(({ name }) => isInBlocks(weights(name)))) {
    throw new WeftError([
      userProblem("merge", "only weights in NVFP4 are encoded again", {
        given: "a model without any",
        remedy: "merge into plain weights, and run weft quantize on the result",
      }),
    ]);
  }
  // Of a weight three parts are read, one behind the other.
  let latest: { readonly name: string; readonly blocks: StoredBlocks } | undefined;
  const encodedAgain = async (name: string): Promise<StoredBlocks> => {
    if (latest?.name !== name) {
      latest = { name, blocks: encoded((await merged(name)) as Float32Array, fourOverSix) };
    }
    return latest.blocks;
  };
  const blocksOf = (name: string) => {
    if (!isInBlocks(weights(name))) return undefined;
    return adapters.has(name) ? () => encodedAgain(name) : () => storedBlocks(weights, name);
  };
  return modelInBlocks({ config, plain, blocksOf, format });
}

function encoded(values: Float32Array, fourOverSix: boolean): StoredBlocks {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const encodeScale = nvfp4EncodeScale(amax(bytes, "f32"));
  const blocks = nvfp4Encode(bytes, "f32", encodeScale, fourOverSix);
  return { ...blocks, encodeScale, tensorScale: tensorScaleOf(encodeScale) };
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
