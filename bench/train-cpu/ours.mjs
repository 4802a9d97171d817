/**
 * Our side of the comparison, plain JavaScript without a loader: what runs is what a user installs, so that memory is that
 * of a user's program. Trains a checkpoint, a few steps for each line of its standard input.
 *
 *     ours.mjs DIRECTORY THREADS DOCUMENTS LENGTH
 *
 * `{"steps": 3}` is answered by their milliseconds and losses, `{"profile": 3}` by the time and cost of each step of the
 * plan, `{"memory": true}` by bytes.
 */
import { createInterface } from "node:readline";
import { hyperparametersInput } from "@weft/compiler";
import { orThrow } from "@weft/dsl";
import { batchOf, compileTrainingModel, openTrainingModel, readCheckpointWeights } from "@weft/qwen3";
import { stepFigures } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";

const [directory, ...numbers] = process.argv.slice(2);
const [threads, documentCount, documentLength] = numbers.map(Number);
const positions = documentCount * documentLength;
const { config, weights } = orThrow(readCheckpointWeights(directory));
const options = { sequence: positions, programs: ["train"] };
const compiled = compileTrainingModel(config, (name) => weights[name], options);
const device = cpuDevice({ threads });
const model = await openTrainingModel(config, weights, device, options, compiled);
// The tokens of peer.py.
const tokenAt = (place) => (place * 7919 + 13) % config.vocabSize;
const documents = Array.from({ length: documentCount }, (_, document) => ({
  tokens: Array.from({ length: documentLength }, (_, at) => tokenAt(document * documentLength + at)),
}));
const given = batchOf(documents);
const rates = { learningRate: 1e-4, weightDecay: 0.1, maxNorm: 1 };
const { plan } = compiled;
const program = plan.programs[0];

async function train(count) {
  const [milliseconds, losses] = [[], []];
  for (let step = 0; step < count; step++) {
    const started = performance.now();
    losses.push((await model.step(given, rates)).loss);
    milliseconds.push(performance.now() - started);
  }
  return { milliseconds, losses };
}

/** Steps whose rates are 0: the weights stay. */
async function profile(count) {
  const symbols = { length: positions };
  const { tokens, targets, positions: places, starts } = given;
  const sizes = plan.buffers.find(({ name }) => name === hyperparametersInput).shape;
  const inputs = { tokens, targets, positions: places, starts, hyperparameters: new Float32Array(sizes[0]) };
  const profiles = [];
  for (let step = 0; step < count; step++)
    profiles.push(await model.executable.profile("train", { symbols, inputs }));
  const steps = stepFigures(plan, "train", symbols, profiles);
  return { steps };
}

const memory = () => ({
  peakBytes: process.resourceUsage().maxRSS * 1024,
  planned: model.memory(),
  kernels: program.steps.length,
});

const answer = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
answer({ version: `Node ${process.versions.node}` });
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  if (request.steps !== undefined) answer(await train(request.steps));
  else if (request.profile !== undefined) answer(await profile(request.profile));
  else answer(memory());
}
