/** Steps of training, ours: f32 master weights, products in bf16, AdamW, every parameter trained. */
import { orThrow } from "@weft/dsl";
import { batchOf, openTrainingModel, readCheckpointWeights } from "@weft/qwen3";
import type { CudaDevice } from "@weft/runtime-cuda";
import { elementsOf, type ModelShape, shapes, tensorsOf } from "../model/shapes.ts";
import { spreadOf } from "../support/statistics.ts";
import { type OursOptions, textOf } from "./ours.ts";
import type { Row } from "./rows.ts";
import { type ModelName, shapeNameOf } from "./work.ts";

/** The first ones choose ways for the products. */
const warmSteps = 2;
const stepSamples = 8;
/** Positions of a chunk of the head and its loss. */
const mostOfChunk = 512;

/**
 * Operations that a token of a training step is worth, whoever computes it and whatever is computed again: six for each
 * element of a matrix, which is multiplied once forward and twice backward, and twelve for each place of a head and each
 * key that is seen, of which there are half as many as tokens of a document.
 */
export function operationsPerToken(shape: ModelShape, size: number): number {
  const matrices = tensorsOf(shape).filter(
    ({ kind, name }) => kind === "matrix" && !name.includes("embed_tokens"),
  );
  const head = shape.tied ? shape.vocab * shape.hidden : 0;
  const multiplied = matrices.reduce((sum, one) => sum + elementsOf(one), head);
  return 6 * multiplied + 6 * lengthOf(size) * shape.heads * shape.headDim * shape.layers;
}

/** Tokens of each of the documents that make up a step. */
const mostOfDocument = 1024;
const lengthOf = (size: number) => Math.min(size, mostOfDocument);

/** Documents of one length, the last one shorter where it does not come out even. */
export function documentsOf(size: number, vocab: number): { readonly tokens: number[] }[] {
  const length = lengthOf(size);
  return Array.from({ length: Math.ceil(size / length) }, (_, index) => ({
    tokens: textOf(Math.min(length, size - index * length), vocab),
  }));
}

/** One row for each number of tokens. What compiles and loads anew for each of them is not timed. */
export async function measureTraining(
  model: ModelName,
  sizes: readonly number[],
  { device, directory, brief, isOver, onRow, say }: OursOptions,
): Promise<void> {
  for (const size of sizes) {
    if (isOver()) return;
    onRow(await trainingRow(model, size, { device, directory, brief, say }));
  }
}

async function trainingRow(
  name: ModelName,
  size: number,
  {
    device,
    directory,
    brief,
    say,
  }: Pick<OursOptions, "directory" | "brief" | "say"> & { readonly device: CudaDevice },
): Promise<Row> {
  const { config, weights } = orThrow(readCheckpointWeights(directory));
  const started = performance.now();
  using model = await openTrainingModel(config, weights, device, {
    sequence: size,
    policy: "bf16",
    programs: ["train"],
    lossChunk: Math.min(size, mostOfChunk),
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const { total: memoryBytes } = model.executable.memory();
  say(`${name}: a step of ${size} compiled and loaded in ${seconds} s, ${memoryBytes} bytes`);
  const batch = batchOf(documentsOf(size, config.vocabSize));
  const samples = brief ? 1 : stepSamples;
  const rates: number[] = [];
  for (let step = 0; step < warmSteps + samples; step++) {
    const begun = performance.now();
    const { loss } = await model.step(batch, { learningRate: 1e-5 });
    if (!Number.isFinite(loss)) throw new Error(`step ${step} gave the loss ${loss}`);
    if (step >= warmSteps) rates.push((size * 1000) / (performance.now() - begun));
  }
  return {
    model: name,
    who: "weft",
    kind: "train",
    size,
    samples,
    tokensPerSecond: spreadOf(rates)!,
    operationsPerToken: operationsPerToken(shapes[shapeNameOf(name)], size),
    memoryBytes,
    note: "f32 weights, bf16 products",
  };
}
