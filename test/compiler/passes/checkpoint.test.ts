/** What a step keeps for its way back and what it computes again: the same gradients, the fewest bytes. */

import { isDeepStrictEqual } from "node:util";
import {
  type Compiled,
  checkpoint,
  compile,
  grad,
  interpret,
  lowering,
  type Recomputation,
  recomputations,
  rungAt,
  rungCount,
  runPasses,
} from "@weft/compiler";
import { type Graph, orThrow, verifyGraph } from "@weft/dsl";
import { batchOf, compileTraining, initialWeights, TrainingModel, trainingPrograms } from "@weft/qwen3";
import { isLeft } from "fp-ts/lib/Either.js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { devicesHere, openDevice } from "../../support/models.ts";
import { configOf } from "../../support/qwen3-config.ts";
import { alongSequence, trainingModel } from "../../support/training-model.ts";

const test = suite("checkpoint");

const shape = {
  hidden: 32,
  layers: 4,
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  intermediate: 96,
  vocab: 48,
};
const config = configOf(shape);

interface Choice {
  readonly recompute?: Recomputation;
  readonly activationBudget?: number;
  readonly sequence?: number;
  readonly layers?: number;
  readonly programs?: readonly ("train" | "gradients")[];
  readonly fusion?: boolean;
}

const plain = { policy: "f32", storage: () => "f32" as const, trainable: () => true } as const;
const compileWith = ({ sequence = 24, layers = 4, programs = ["gradients"], ...more }: Choice) =>
  compileTraining(configOf({ ...shape, layers }), {
    sequence,
    programs,
    ...plain,
    record: false,
    ...more,
  });
const compiledWith = (choice: Choice) => orThrow(compileWith(choice));
const activations = ({ plan }: Compiled) => plan.memory.activations;

test("every gradient is the same to the bit on the interpreter, whatever is computed again", () => {
  const { oracle, mean, parameters } = trainingModel("tiny");
  const tokens = oracle.tokens.slice(0, 9);
  const inputs = new Map([
    ["tokens", alongSequence(tokens)],
    ["targets", alongSequence([...tokens.slice(1), -1])],
  ]);
  const outputsWith = (recompute: Recomputation) => {
    const passes = [
      grad({ loss: "loss" }),
      ...lowering({}),
      checkpoint({ loss: "loss", recompute: () => recompute }),
    ];
    const { graph } = orThrow(runPasses(mean, passes, verifyGraph));
    return {
      graph,
      outputs: interpret(graph, { inputs, parameters, symbols: new Map([["seq", tokens.length]]) }),
    };
  };
  const plain = outputsWith("nothing");
  const count = (graph: Graph, op: string) => graph.nodes.filter((one) => one.op === op).length;
  assert.is(count(plain.graph, "after"), 0);
  for (const recompute of recomputations.slice(1)) {
    const { graph, outputs } = outputsWith(recompute);
    assert.equal([...outputs.keys()], [...plain.outputs.keys()]);
    for (const [name, { data }] of plain.outputs) assert.equal(outputs.get(name)!.data, data, name);
    assert.ok(count(graph, "after") > 0, recompute);
    const more = (op: string) => count(graph, op) - count(plain.graph, op);
    assert.is(more("dot") > 0, recompute !== "rows", recompute);
    assert.is(more("attend") > 0, recompute === "everything", recompute);
  }
});

for (const where of await devicesHere())
  test(`every gradient is the same to the bit on ${where}, in the memory that was predicted`, async () => {
    using device = await openDevice(where);
    const weights = initialWeights(config, { seed: 5, initializerRange: 0.1 });
    const tokens = [5, 17, 3, 44, 21, 8, 40, 2, 33, 12, 7, 19, 30];
    const batch = batchOf([{ tokens: tokens.slice(0, 8) }, { tokens: tokens.slice(8) }]);
    const found = new Map<string, ReadonlyMap<string, Float32Array>>();
    for (const recompute of recomputations) {
      const { plan } = compiledWith({ recompute });
      const executable = await device.load(plan, weights);
      const names = plan.buffers.flatMap((one) => (one.class === "state" ? [one.name] : []));
      for (const name of names) await executable.writeState(name, weights(name)!.data as Float32Array);
      using model = new TrainingModel(config, executable, names);
      found.set(recompute, (await model.gradients(batch)).gradients);
      assert.is(executable.memory().activations, plan.memory.activations);
    }
    const plain = found.get("nothing")!;
    assert.ok([...plain.values()].some((one) => one.some((value) => value !== 0)));
    for (const [recompute, gradients] of found)
      for (const [name, gradient] of gradients)
        assert.equal(
          gradient.filter((value, at) => value !== plain.get(name)![at]).length,
          0,
          `${recompute}: ${name}`,
        );
  });

test("each recomputation takes less memory than the one before", () => {
  const peaks = recomputations.map((recompute) =>
    activations(compiledWith({ recompute, layers: 12, sequence: 128 })),
  );
  for (const [at, peak] of peaks.entries())
    if (at > 0) assert.ok(peak < peaks[at - 1]!, `${recomputations[at]} takes ${peak} of ${peaks[at - 1]}`);
});

test("a plan that is not fused computes again as well", () => {
  const [rows, all] = (["nothing", "everything"] as const).map((recompute) =>
    activations(compiledWith({ recompute, fusion: false })),
  );
  assert.ok(all! < rows!);
});

/** What a middle layer keeps: buffers that a step of the way forward fills and one of the way back reads. */
function keptByLayer(recompute: Recomputation): string[] {
  const { plan } = compiledWith({ recompute, programs: ["train"] });
  const { steps } = plan.programs[0]!;
  const ofForward = (name: string) =>
    name.startsWith("model.layers.1.") || name.startsWith("model.layers.1:");
  const turn = steps.findIndex(({ origins }) => origins.some((one) => one.startsWith("meanCrossEntropy")));
  const head = steps.findIndex(({ origins }, at) => at > turn && origins.includes("lm_head"));
  const touched = new Map<number, [number, number]>();
  steps.forEach(({ bindings }, at) => {
    for (const buffer of bindings) touched.set(buffer, [touched.get(buffer)?.[0] ?? at, at]);
  });
  return [...touched]
    .filter(([, [first, last]]) => first < head && last > head)
    .map(([buffer]) => plan.buffers[buffer]!)
    .filter((one) => one.class === "activations" && ofForward(one.name))
    .map(({ name }) => name.replace(/%\d+$/, ""))
    .sort();
}

test("what a layer keeps", () => {
  const of = (...names: string[]) => names.map((name) => `model.layers.1${name}`);
  const norms = ["input_layernorm", "post_attention_layernorm", "self_attn.q_norm", "self_attn.k_norm"];
  const sums = of(...norms.map((name) => `.${name}:rmsNorm`));
  const attention = of(":attend", ":attendLogSumExp");
  const products = [
    "mlp.gate_proj",
    "mlp.up_proj",
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
  ];
  // What enters the block, and the sum behind its attention.
  const streams = of(":add", ":add");
  const expected: Readonly<Record<string, readonly string[]>> = {
    rows: [...sums, ...attention, ...streams, ...of(...products.map((name) => `.${name}:linear`))],
    products: [...sums, ...attention, ...of(":add")],
    everything: [...sums, ...of(":add")],
  };
  for (const [recompute, names] of Object.entries(expected))
    assert.equal(keptByLayer(recompute as Recomputation), names.toSorted(), recompute);
});

/** How many kernels of each kind a middle layer takes in a whole step: forward, backward and update. */
function kernelsOfLayer(recompute: Recomputation): Record<string, number> {
  const { plan } = compiledWith({ recompute, programs: ["train"] });
  const counts: Record<string, number> = {};
  for (const { kernel, origins } of plan.programs[0]!.steps) {
    if (!origins.some((one) => one === "model.layers.1" || one.startsWith("model.layers.1."))) continue;
    const { kind } = plan.kernels[kernel]!;
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

test("kernels of a layer: forward, backward and update", () => {
  // 11 of the row programs are updates, 4 matrix products belong to the way forward, two contractions to each weight.
  const kept = { rows: 24, matmul: 4, attentionForward: 1, contract: 14, attentionBackward: 1 };
  assert.equal(kernelsOfLayer("nothing"), kept);
  // The two norms of the layer and those of q and k with their rotations.
  assert.equal(kernelsOfLayer("rows"), { ...kept, rows: 28 });
  // q, k and v in one; gate and up in one; o.
  assert.equal(kernelsOfLayer("products"), { ...kept, matmul: 7 });
  assert.equal(kernelsOfLayer("everything"), { ...kept, matmul: 7, attentionForward: 2 });
});

test("activations grow no faster than the length", () => {
  for (const recompute of recomputations) {
    const [short, long] = [64, 256].map((sequence) => activations(compiledWith({ recompute, sequence })));
    assert.ok(long! <= 4 * short!, `${recompute}: ${long} at 256, ${short} at 64`);
  }
});

test("a budget is kept, whichever rung needs the least, and one rung less would not keep it", () => {
  const blocks = config.layers;
  const rungs = rungCount(blocks, "rows");
  assert.is(rungs, 2 * blocks + 1);
  const needs = Array.from({ length: rungs }, (_, at) => {
    const { cheap, dear, dearBlocks } = rungAt(at, blocks, "rows");
    const options = { sequence: 24, programs: ["gradients"], ...plain } as const;
    const programs = trainingPrograms(config, options, { cheap, dear, dearBlocks, blocks });
    return activations(orThrow(compile(programs, { name: "rung", record: false, lossChunk: 256 })));
  });
  // With so few tokens, all of `everything` takes more at once than it frees.
  assert.ok(needs.at(-1)! > Math.min(...needs));
  for (const bytes of [...new Set(needs), needs[0]! + 1]) {
    const { plan, recomputation } = compiledWith({ activationBudget: bytes });
    assert.ok(plan.memory.activations <= bytes, `${plan.memory.activations} of ${bytes}`);
    const at = needs.findIndex((_, rung) => isDeepStrictEqual(rungAt(rung, blocks, "rows"), recomputation));
    assert.is(plan.memory.activations, needs[at]);
    if (at > 0) assert.ok(needs[at - 1]! > bytes, `rung ${at} for ${bytes}, of ${needs}`);
  }
  const refused = compileWith({ activationBudget: Math.min(...needs) - 1 });
  assert.ok(isLeft(refused));
});

test("a budget that cannot be kept names what it takes", () => {
  const refused = compileWith({ activationBudget: 1000 });
  assert.ok(isLeft(refused));
  const [problem] = refused.left;
  assert.match(problem.requirement, /^must be at least [\d.]+ KiB, where .* blocks compute \w+ again/);
  const least = Math.ceil((Number.parseFloat(problem.requirement.slice(17)) + 0.01) * 1024);
  assert.not(isLeft(compileWith({ activationBudget: least })));
  assert.is(problem.given, "1000 B");
  assert.match(problem.remedy!, /fewer tokens/);
});

test("the loss must be there", () => {
  const { mean } = trainingModel("tiny");
  const pass = checkpoint({ loss: "los", recompute: () => "rows" });
  const result = runPasses(mean, [pass], verifyGraph);
  assert.ok(isLeft(result));
  assert.match(result.left[0].remedy!, /did you mean "loss"/);
});

test.run();
