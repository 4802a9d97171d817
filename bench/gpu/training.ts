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
 * element of a matrix, which is multiplied once forward and twice backward, and six for each place of a head and each key
 * that is seen, of which there are half as many as tokens.
 */
export function operationsPerToken(shape: ModelShape, length: number): number {
  const matrices = tensorsOf(shape).filter(
    ({ kind, name }) => kind === "matrix" && !name.includes("embed_tokens"),
  );
  const head = shape.tied ? shape.vocab * shape.hidden : 0;
  const multiplied = matrices.reduce((sum, one) => sum + elementsOf(one), head);
  return 6 * multiplied + 6 * length * shape.heads * shape.headDim * shape.layers;
}

/** One row for each length. What compiles and loads anew for each of them is not timed. */
export async function measureTraining(
  model: ModelName,
  lengths: readonly number[],
  { device, directory, brief, isOver, onRow, say }: OursOptions,
): Promise<void> {
  for (const length of lengths) {
    if (isOver()) return;
    onRow(await trainingRow(model, length, { device, directory, brief, say }));
  }
}

async function trainingRow(
  name: ModelName,
  length: number,
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
    sequence: length,
    policy: "bf16",
    programs: ["train"],
    lossChunk: Math.min(length, mostOfChunk),
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const { total: memoryBytes } = model.executable.memory();
  say(`${name}: a step of ${length} compiled and loaded in ${seconds} s, ${memoryBytes} bytes`);
  const batch = batchOf([{ tokens: textOf(length, config.vocabSize) }]);
  const samples = brief ? 1 : stepSamples;
  const rates: number[] = [];
  for (let step = 0; step < warmSteps + samples; step++) {
    const begun = performance.now();
    const { loss } = await model.step(batch, { learningRate: 1e-5 });
    if (!Number.isFinite(loss)) throw new Error(`step ${step} gave the loss ${loss}`);
    if (step >= warmSteps) rates.push((length * 1000) / (performance.now() - begun));
  }
  return {
    model: name,
    who: "weft",
    kind: "train",
    size: length,
    samples,
    tokensPerSecond: spreadOf(rates)!,
    operationsPerToken: operationsPerToken(shapes[shapeNameOf(name)], length),
    memoryBytes,
    note: "f32 weights, bf16 products",
  };
}
