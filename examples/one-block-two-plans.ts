// One block object, two plans: one that trains it and one that decodes with it. Nothing is written twice; what differs is
// which passes the block went through. Their kernels stand side by side, by the path in the block that each comes from.
//
//   npx tsx examples/one-block-two-plans.ts
import {
  adamW,
  compile,
  expandBlock,
  grad,
  kvCache,
  lastPosition,
  optimizer,
  type Pass,
  type Plan,
} from "@weft/compiler";
import { axis, chain, first, meanCrossEntropy, orThrow, parametersOf, prettyBlock } from "@weft/dsl";
import { axesOf, parseQwen3Config, qwen3Model } from "@weft/qwen3";

const config = orThrow(
  parseQwen3Config(
    {
      model_type: "qwen3",
      hidden_size: 64,
      intermediate_size: 128,
      num_hidden_layers: 1,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 16,
      vocab_size: 512,
      max_position_embeddings: 256,
      rms_norm_eps: 1e-6,
      rope_theta: 10_000,
    },
    "the configuration of this example",
  ),
);

const model = qwen3Model(config);
const parameters = orThrow(parametersOf(model)).map(({ name }) => name);
console.log(`The block:\n\n${prettyBlock(model)}\n`);

/** Tokens and targets in, the mean loss out; behind the passes also every parameter updated in its place. */
function trainingPlan(): Plan {
  const seq = axis("seq", { symbol: "seq", max: 64 });
  const graph = expandBlock(chain(first(model), meanCrossEntropy(axesOf(config).vocab, seq)), {
    name: "training",
    lead: [],
    inputNames: ["tokens", "targets"],
    outputName: "loss",
  });
  const passes: Pass[] = [grad({ loss: "loss", parameters }), optimizer({ loss: "loss", rule: adamW })];
  return orThrow(compile([{ name: "train", graph, passes }], { name: "training" })).plan;
}

/** One token in, the next one's logits out; keys and values of those before it are in a cache. */
function decodePlan(): Plan {
  const graph = expandBlock(model, {
    name: "decode",
    lead: [axis("seq", 1)],
    inputNames: ["tokens"],
    outputName: "logits",
  });
  const passes: Pass[] = [kvCache({ capacity: 256, dtype: "f32" }), lastPosition(["logits"])];
  return orThrow(compile([{ name: "decode", graph, passes }], { name: "decode" })).plan;
}

/** The kernels of the steps that come from each path, with their numbers in the plan. */
function kernelsByPath(plan: Plan): Map<string, string[]> {
  const byPath = new Map<string, string[]>();
  plan.programs[0]!.steps.forEach(({ kernel, origins }, step) => {
    const text = `${String(step).padStart(3)} ${plan.kernels[kernel]!.name}`;
    const paths = new Set(origins.length === 0 ? [""] : origins);
    for (const path of paths) byPath.set(path, [...(byPath.get(path) ?? []), text]);
  });
  return byPath;
}

const [training, decode] = [trainingPlan(), decodePlan()];
const [left, right] = [kernelsByPath(training), kernelsByPath(decode)];
const width = 46;
const fit = (text: string) => (text.length > width ? `${text.slice(0, width - 3)}...` : text).padEnd(width);

console.log(`${"in the training plan".padEnd(width)}   in the decode plan`);
for (const path of new Set([...right.keys(), ...left.keys()])) {
  // The loss and its masks stand at no path of the block; the norm of all gradients is the optimizer's.
  console.log(`\n${path === "" ? "(the loss)" : path}`);
  const [a, b] = [left.get(path) ?? [], right.get(path) ?? []];
  for (let row = 0; row < Math.max(a.length, b.length); row++)
    console.log(`${fit(a[row] ?? "")}   ${fit(b[row] ?? "").trimEnd()}`.trimEnd());
}

/** Parameters are weights where they are only read, and states where they are updated. */
function parametersIn(plan: Plan): string[] {
  return plan.buffers.flatMap(({ name }) => (parameters.includes(name) ? [name] : [])).sort();
}

const stepsOf = (plan: Plan) => plan.programs[0]!.steps.length;
console.log(`\ntraining: ${stepsOf(training)} kernels, forward, backward and update`);
console.log(`decode: ${stepsOf(decode)} kernels`);
const all = [...parameters].sort().join();
const shared = [training, decode].every((plan) => parametersIn(plan).join() === all);
console.log(`the same ${parameters.length} parameters in both: ${shared ? "yes" : "no"}`);
process.exitCode = shared ? 0 : 1;
