/** One step of training without its optimizer: the loss of packed documents and the gradient of every parameter. */
import { type Compiled, compile, expandBlock, grad, packDocuments, packInputs } from "@weft/compiler";
import { axis, chain, first, meanCrossEntropy, orThrow } from "@weft/dsl";
import { axesOf, type Qwen3Config, qwen3Model } from "@weft/qwen3";
import type { InputArray, WeightSource } from "@weft/runtime";
import { configOf } from "../../test/support/qwen3-config.ts";

export interface TrainShape {
  readonly name: string;
  readonly config: Qwen3Config;
}

/** Qwen3 of about 10 and 100 million parameters, embeddings tied. */
export const trainShapes: readonly TrainShape[] = [
  {
    name: "10M",
    config: configOf({
      hidden: 256,
      layers: 10,
      heads: 4,
      kvHeads: 2,
      headDim: 64,
      intermediate: 768,
      vocab: 8192,
    }),
  },
  {
    name: "100M",
    config: configOf({
      hidden: 768,
      layers: 11,
      heads: 12,
      kvHeads: 4,
      headDim: 64,
      intermediate: 2304,
      vocab: 32000,
    }),
  },
];

export const batch = { documents: 4, length: 256 } as const;
export const positions = batch.documents * batch.length;

export interface StepOptions {
  readonly fusion: boolean;
  /** Positions of a chunk of the loss; none: whole scores. */
  readonly lossChunk: number | undefined;
}

export function compileStep(config: Qwen3Config, { fusion, lossChunk }: StepOptions): Compiled {
  const { vocab } = axesOf(config);
  const seq = axis("seq", { symbol: "seq", max: positions });
  const block = chain(first(qwen3Model(config)), meanCrossEntropy(vocab, seq));
  const graph = expandBlock(block, {
    name: "train",
    lead: [],
    inputNames: ["tokens", "targets"],
    outputName: "loss",
  });
  const passes = [packDocuments(), grad({ loss: "loss" })];
  const options = { name: "train", fusion, record: false, ...(lossChunk === undefined ? {} : { lossChunk }) };
  return orThrow(compile([{ name: "step", graph, passes }], options));
}

export function parameterCount({ plan }: Compiled): number {
  const weights = plan.buffers.filter((one) => one.class === "weights");
  return weights.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
}

/** Weights of a plan, drawn evenly around 0, norms around 1: the same in every run. */
export function randomWeights({ plan }: Compiled): WeightSource {
  const shapes = new Map(plan.buffers.map((one) => [one.name, one.shape] as const));
  let state = 1;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
  return (name) => {
    const shape = shapes.get(name);
    if (shape === undefined) return undefined;
    const isNorm = shape.length === 1;
    const count = shape.reduce((product, size) => product * size, 1);
    const data = Float32Array.from({ length: count }, () => (isNorm ? 1 + 0.1 * next() : 0.08 * next()));
    return { kind: "data", data, dtype: "f32", shape: [...shape] };
  };
}

/** Documents of equal length one behind the other; each one's last token has no target. */
export function stepInputs({ vocabSize }: Qwen3Config): Record<string, InputArray> {
  const { documents, length } = batch;
  const tokens = Int32Array.from({ length: positions }, (_, i) => (i * 7919 + 13) % vocabSize);
  const places = Int32Array.from({ length: positions }, (_, i) => i % length);
  return {
    tokens,
    targets: tokens.map((_, i) => (places[i] === length - 1 ? -1 : tokens[i + 1]!)),
    [packInputs.positions]: places,
    [packInputs.starts]: Int32Array.from({ length: documents * length }, (_, i) => i - (i % length)),
  };
}
