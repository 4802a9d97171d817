/**
 * Our side of the comparison: trains a checkpoint, a few steps for each line of its standard input.
 *
 *     ours.ts DIRECTORY THREADS
 *
 * `{"steps": 3}` is answered by their milliseconds and losses, `{"profile": 3}` by the time that each kernel took,
 * `{"memory": true}` by bytes.
 */
import { createInterface } from "node:readline";
import { costOf, hyperparametersInput } from "@weft/compiler";
import { orThrow } from "@weft/dsl";
import { batchOf, compileTrainingModel, openTrainingModel, readCheckpointWeights } from "@weft/qwen3";
import type { StepTime } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";
import { sharesOf } from "./kernels.ts";
import { batch, positions } from "./shapes.ts";

const [directory, threads] = process.argv.slice(2);
const { config, weights } = orThrow(readCheckpointWeights(directory!));
const options = { sequence: positions, programs: ["train"] } as const;
const compiled = compileTrainingModel(config, (name) => weights[name], options);
using device = cpuDevice({ threads: Number(threads) });
using model = await openTrainingModel(config, weights, device, options, compiled);
// The tokens of peer.py.
const tokenAt = (place: number) => (place * 7919 + 13) % config.vocabSize;
const documents = Array.from({ length: batch.documents }, (_, document) => ({
  tokens: Array.from({ length: batch.length }, (_, at) => tokenAt(document * batch.length + at)),
}));
const given = batchOf(documents);
const rates = { learningRate: 1e-4, weightDecay: 0.1, maxNorm: 1 };
const { plan } = compiled;
const program = plan.programs[0]!;

async function train(count: number): Promise<object> {
  const [milliseconds, losses]: [number[], number[]] = [[], []];
  for (let step = 0; step < count; step++) {
    const started = performance.now();
    losses.push((await model.step(given, rates)).loss);
    milliseconds.push(performance.now() - started);
  }
  return { milliseconds, losses };
}

/** Steps whose rates are 0: the weights stay. */
async function profile(count: number): Promise<object> {
  const symbols = { length: positions };
  const { tokens, targets, positions: places, starts } = given;
  const sizes = plan.buffers.find(({ name }) => name === hyperparametersInput)!.shape;
  const inputs = { tokens, targets, positions: places, starts, hyperparameters: new Float32Array(sizes[0]!) };
  const profiles: (readonly StepTime[])[] = [];
  for (let step = 0; step < count; step++)
    profiles.push((await model.executable.profile("train", { symbols, inputs })).steps);
  return { shares: sharesOf(compiled, costOf(plan, program, symbols), profiles) };
}

const memory = () => ({
  peakBytes: process.resourceUsage().maxRSS * 1024,
  planned: model.memory(),
  kernels: program.steps.length,
});

const answer = (value: object) => process.stdout.write(`${JSON.stringify(value)}\n`);
answer({ version: `Node ${process.versions.node}` });
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line) as { readonly steps?: number; readonly profile?: number };
  if (request.steps !== undefined) answer(await train(request.steps));
  else if (request.profile !== undefined) answer(await profile(request.profile));
  else answer(memory());
}
