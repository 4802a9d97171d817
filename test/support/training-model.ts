/** The small checkpoints of test/fixtures as models with a loss, and what an independent implementation makes of them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expandBlock } from "@weft/compiler";
import {
  axis,
  chain,
  crossEntropy,
  first,
  type Graph,
  meanCrossEntropy,
  orThrow,
  type TensorArray,
} from "@weft/dsl";
import { axesOf, openCheckpoint, qwen3Model, readQwen3Config, readTensor } from "@weft/qwen3";
import { fixtures } from "./models.ts";

interface Oracle {
  readonly tokens: readonly number[];
  readonly loss: number;
  /** Pairs of flat index and value, by parameter. */
  readonly gradients: Readonly<Record<string, readonly (readonly [number, number])[]>>;
}

export interface TrainingModel {
  readonly oracle: Oracle;
  /** Inputs `tokens` and `targets` over `seq`, the output `loss`: the mean over what is not masked. */
  readonly mean: Graph;
  /** The same with one loss for each position. */
  readonly each: Graph;
  readonly parameters: (name: string) => TensorArray | undefined;
}

export const trainingNames = ["tiny", "tiny-tied"] as const;

export function trainingModel(name: (typeof trainingNames)[number]): TrainingModel {
  const folder = join(fixtures, name);
  const oracle = JSON.parse(readFileSync(join(folder, "oracle.json"), "utf8")) as Oracle;
  const config = orThrow(readQwen3Config(folder));
  const checkpoint = orThrow(openCheckpoint(folder));
  const { vocab } = axesOf(config);
  const seq = axis("seq", { symbol: "seq", max: 32 });
  const model = qwen3Model(config);
  const options = { name, inputNames: ["tokens", "targets"], outputName: "loss" };
  const mean = expandBlock(chain(first(model), meanCrossEntropy(vocab, seq)), { ...options, lead: [] });
  const each = expandBlock(chain(first(model), crossEntropy(vocab)), { ...options, lead: [seq] });
  const weights = new Map<string, TensorArray>();
  for (const { op, type, attributes } of mean.nodes) {
    if (op !== "parameter") continue;
    const parameter = attributes.name as string;
    const axes = type.axes.map((one) => ({ name: one.name, size: one.size as number }));
    const data = Float64Array.from(readTensor(checkpoint.tensors.get(parameter)!));
    weights.set(parameter, { dtype: "f32", axes, data });
  }
  return { oracle, mean, each, parameters: (parameter) => weights.get(parameter) };
}

/** Numbers along the sequence, as an input. */
export function alongSequence(values: readonly number[]): TensorArray {
  return { dtype: "i32", axes: [{ name: "seq", size: values.length }], data: Float64Array.from(values) };
}

/** Each token's target is the next token; the last one has none. */
export function nextTokens(tokens: readonly number[]): readonly number[] {
  return [...tokens.slice(1), -1];
}
