/** Runs ONNX models with onnxruntime, an implementation by others. */
import type { OnnxGraph } from "@weft/compiler";
import type { TensorArray } from "@weft/dsl";
import ort from "onnxruntime-node";
import { encodeOnnx } from "../../packages/qwen3/src/onnx/encode.ts";

export type OnnxTensor = ort.Tensor;
export type OnnxSession = ort.InferenceSession;

/** Warnings are no part of a test's output. */
const options = { logSeverityLevel: 3, intraOpNumThreads: 1 } as const;

export const openOnnx = (model: string | Uint8Array): Promise<OnnxSession> =>
  typeof model === "string"
    ? ort.InferenceSession.create(model, options)
    : ort.InferenceSession.create(model, options);

export const floats = (data: Float32Array, dimensions: readonly number[]): OnnxTensor =>
  new ort.Tensor("float32", data, dimensions);

export const indices = (values: Iterable<number>, dimensions: readonly number[]): OnnxTensor =>
  new ort.Tensor("int64", BigInt64Array.from(values as number[], BigInt), dimensions);

/** The numbers of a tensor, whatever it holds; bf16 as the runtime hands it over, two bytes each. */
export function numbersOf({ data, type }: OnnxTensor): Float64Array {
  if (type === "int64") return Float64Array.from(data as BigInt64Array, Number);
  return Float64Array.from(data as Float32Array);
}

/** A graph with its weights in it. */
export function onnxBytes(graph: OnnxGraph, weights: (name: string) => Uint8Array): Uint8Array {
  return encodeOnnx(graph, (name) => ({ kind: "inline", data: weights(name) }), {});
}

/** A value as a tensor for an input: indices are i64 at the border. */
export function asInput({ axes, data, dtype }: TensorArray): OnnxTensor {
  const dimensions = axes.map(({ size }) => size);
  return dtype === "i32" ? indices(data, dimensions) : floats(Float32Array.from(data), dimensions);
}
