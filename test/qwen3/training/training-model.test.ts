/** Whole models: the loss and gradients of another implementation, learning, and programs that share the weights. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plan } from "@weft/compiler";
import { orThrow, type WeftError } from "@weft/dsl";
import {
  batchOf,
  compileTrainingModel,
  initialWeights,
  openTrainingModel,
  readCheckpointWeights,
  type TrainingModel,
  type TrainingOptions,
  trainingMemory,
} from "@weft/qwen3";
import type { Device } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { interpreterDevice } from "../../support/interpreter-device.ts";
import { devicesHere, fixtures, openDevice } from "../../support/models.ts";

const test = suite("training model");

interface Oracle {
  readonly tokens: readonly number[];
  readonly loss: number;
  readonly gradients: Readonly<Record<string, readonly (readonly [number, number])[]>>;
}

const checkpoint = (name: string) => orThrow(readCheckpointWeights(join(fixtures, name)));
const oracleOf = (name: string) =>
  JSON.parse(readFileSync(join(fixtures, name, "oracle.json"), "utf8")) as Oracle;

async function expectOracle(name: string, model: TrainingModel, relative: number): Promise<void> {
  const oracle = oracleOf(name);
  const batch = batchOf([{ tokens: oracle.tokens }]);
  const { loss, gradients } = await model.gradients(batch);
  assert.ok(Math.abs(loss - oracle.loss) <= relative * oracle.loss, `loss ${loss}, ${oracle.loss}`);
  let compared = 0;
  for (const [parameter, pairs] of Object.entries(oracle.gradients)) {
    const gradient = gradients.get(parameter);
    if (gradient === undefined) continue;
    const largest = Math.max(...pairs.map(([, value]) => Math.abs(value)));
    for (const [at, value] of pairs) {
      const difference = Math.abs(gradient[at]! - value);
      assert.ok(
        difference <= relative * (Math.abs(value) + 0.1 * largest) + 1e-7,
        `${parameter}[${at}]: ${gradient[at]}, expected ${value}`,
      );
      compared++;
    }
  }
  assert.ok(compared > 100, `${compared} were compared`);
}

const short = { sequence: 32 };

for (const name of ["tiny", "tiny-tied"]) {
  test(`${name}: loss and gradients are the oracle's, on the interpreter`, async () => {
    const { config, weights } = checkpoint(name);
    const options = { ...short, programs: ["gradients"], record: true } as const;
    const compiled = compileTrainingModel(config, (one) => weights[one], options);
    using device = interpreterDevice(compiled);
    using model = await openTrainingModel(config, weights, device, options, compiled);
    await expectOracle(name, model, 1e-3);
  });
  for (const where of await devicesHere()) {
    test(`${name}: loss and gradients are the oracle's, on ${where}`, async () => {
      const { config, weights } = checkpoint(name);
      using device = await openDevice(where);
      using model = await openTrainingModel(config, weights, device, {
        ...short,
        programs: ["gradients", "loss"],
      });
      await expectOracle(name, model, 2e-3);
      const { loss, targets } = await model.loss(batchOf([{ tokens: oracleOf(name).tokens }]));
      assert.ok(Math.abs(loss - oracleOf(name).loss) < 1e-3 * loss);
      assert.is(targets, oracleOf(name).tokens.length - 1);
    });
  }
}

const text = [5, 17, 3, 44, 21, 8, 60, 2, 33, 12, 7, 19];

async function learn(device: Device, more: Partial<TrainingOptions>, steps = 30) {
  const { config } = checkpoint("tiny");
  const weights = initialWeights(config, { seed: 7, initializerRange: 0.1 });
  const model = await openTrainingModel(config, weights, device, { ...short, ...more });
  const batch = batchOf([{ tokens: text }]);
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const result = await model.step(batch, { learningRate: 0.01, maxNorm: 1 });
    assert.not(result.skipped);
    losses.push(result.loss);
  }
  return { model, batch, losses };
}

test("learns a few tokens by heart, the same with any number of threads", async () => {
  const runs: number[][] = [];
  for (const threads of [1, 2, 2]) {
    using device = cpuDevice({ threads });
    const { model, batch, losses } = await learn(device, {});
    assert.ok(losses[0]! > 3.5, `begins at ${losses[0]}`);
    const { loss } = await model.loss(batch);
    assert.ok(loss < 0.05, `ends at ${loss}`);
    assert.is(model.updates, losses.length);
    losses.push(...((await model.parameter("model.norm.weight")) as Float32Array));
    runs.push(losses);
    model[Symbol.dispose]();
  }
  assert.equal(runs[1], runs[0]);
  assert.equal(runs[2], runs[0]);
});

/** Row programs of `train` that read a trained matrix and make another value of its shape of it: copies and roundings. */
function weightCopies(plan: Plan): number {
  const { steps } = plan.programs.find(({ name }) => name === "train")!;
  return steps.filter(({ kernel, bindings }) => {
    if (plan.kernels[kernel]!.kind !== "rows") return false;
    const used = plan.kernels[kernel]!.slots.map((slot, at) => ({
      ...slot,
      ...plan.buffers[bindings[at]!]!,
    }));
    const matrices = used.filter(
      (one) => one.class === "state" && one.access === "read" && one.shape.length > 1,
    );
    return matrices.some(({ shape }) =>
      used.some(
        (one) => one.class === "activations" && one.access !== "read" && `${one.shape}` === `${shape}`,
      ),
    );
  }).length;
}

test("f32 masters are rounded for products of bf16", () => {
  const { config, weights } = checkpoint("tiny");
  const { plan } = compileTrainingModel(config, (name) => weights[name], { ...short, policy: "bf16" });
  assert.ok(weightCopies(plan) > 0);
});

test("learns by heart in bf16 weights: 2 bytes for each and no second copy, by any number of threads", async () => {
  const runs: number[][] = [];
  for (const threads of [1, 2]) {
    using device = cpuDevice({ threads });
    const { model, batch, losses } = await learn(device, { trainedDtype: "bf16", policy: "bf16" });
    using _ = model;
    assert.ok(losses[0]! > 3.5, `begins at ${losses[0]}`);
    const { loss } = await model.loss(batch);
    assert.ok(loss < 0.1, `ends at ${loss}`);
    const { plan } = model.executable;
    const stored = new Map(
      plan.buffers.flatMap((one) => (one.class === "state" ? [[one.name, one] as const] : [])),
    );
    for (const name of model.trained) {
      const { bytes, shape } = stored.get(name)!;
      assert.is(bytes, 2 * shape.reduce((product, size) => product * size, 1), name);
    }
    assert.is(weightCopies(plan), 0, "products read the weight itself");
    losses.push(...((await model.parameter("model.layers.0.mlp.up_proj.weight")) as Uint16Array));
    runs.push(losses);
  }
  assert.equal(runs[1], runs[0]);
});

test("moments in fewer bits: one kernel for each parameter, and learns as with those of f32", async () => {
  const ways = [
    { moments: "f32" },
    { moments: "int8" },
    { moments: "nvfp4" },
    { moments: "int8", quantize: {} },
    { moments: "nvfp4", quantize: {} },
  ] as const;
  const runs: number[][] = [];
  for (const how of ways) {
    using device = cpuDevice({ threads: 2 });
    const { model, losses } = await learn(device, how);
    using _ = model;
    const { plan } = model.executable;
    const { steps } = plan.programs.find(({ name }) => name === "train")!;
    const writers = (state: string) =>
      steps.flatMap(({ kernel, bindings }, at) =>
        plan.kernels[kernel]!.slots.some(
          ({ access }, slot) => access !== "read" && plan.buffers[bindings[slot]!]!.name === state,
        )
          ? [at]
          : [],
      );
    const states = plan.buffers.filter((one) => one.class === "state");
    for (const name of model.trained) {
      const own = states.filter((one) => one.name.startsWith("optimizer.") && one.name.endsWith(`.${name}`));
      const moments = own.filter((one) => !one.name.startsWith("optimizer.largest."));
      for (const one of moments) assert.equal(writers(one.name), writers(name), one.name);
      assert.is(writers(name).length, 1, name);
    }
    const dtypeOf = { f32: "f32", int8: "i8", nvfp4: "nvfp4" }[how.moments];
    const narrow = states.filter(({ dtype, name }) => dtype !== "f32" && name.startsWith("optimizer."));
    assert.ok(narrow.every(({ dtype }) => dtype === dtypeOf));
    // q, o, gate, up and down of two layers, and the head; k and v are too small, and the embedding is looked up.
    assert.is(narrow.length, how.moments === "f32" ? 0 : 2 * (2 * 5 + 1));
    runs.push(losses);
  }
  const [plain, ...others] = runs.map((losses) => losses.reduce((sum, one) => sum + one, 0));
  const off = others.map((one) => Math.abs(one / plain! - 1));
  assert.ok(off[0]! < 0.02 && off[1]! < 0.02 && off[2]! < 0.1 && off[3]! < 0.1, off.join(", "));
  assert.ok(runs.every((losses) => losses.at(-1)! < 0.01));
});

test("an update takes as many kernels with moments in fewer bits, in one pass and behind several", () => {
  const { config, weights } = checkpoint("tiny");
  const counts = (["f32", "int8", "nvfp4"] as const).map((moments) => {
    const { plan } = compileTrainingModel(config, (name) => weights[name], {
      ...short,
      moments,
      trainedDtype: "bf16",
      quantize: {},
      programs: ["train", "accumulate", "update"],
    });
    return plan.programs.map(({ name, steps }) => `${name} ${steps.length}`);
  });
  assert.equal(counts[0], ["train 167", "accumulate 111", "update 87", "blocks 56"]);
  assert.equal(counts[1], counts[0]);
  assert.equal(counts[2], counts[0]);
});

test("moments are refused in another format, and with SGD", () => {
  const { config, weights } = checkpoint("tiny");
  const refusal = (options: object) => {
    try {
      compileTrainingModel(config, (name) => weights[name], { ...short, ...options });
    } catch (error) {
      return (error as Error).message;
    }
    return "";
  };
  assert.match(refusal({ moments: "int4" }), /moments must be one of f32, int8, nvfp4; given int4/);
  for (const moments of ["int8", "nvfp4"])
    assert.match(refusal({ moments, rule: "sgd" }), /moments must be left out with the rule sgd/);
});

test("SGD moves a whole model as its formula says", async () => {
  using device = cpuDevice({ threads: 2 });
  const { config, weights } = checkpoint("tiny");
  using model = await openTrainingModel(config, weights, device, {
    ...short,
    rule: "sgd",
    programs: ["train", "gradients"],
  });
  const batch = batchOf([{ tokens: text }]);
  const given = { learningRate: 0.05, momentum: 0.8, weightDecay: 0.1 };
  const expected = new Map<string, { weight: Float64Array; momentum: Float64Array }>();
  for (const name of model.trained) {
    const weight = Float64Array.from((await model.parameter(name)) as Float32Array);
    expected.set(name, { weight, momentum: new Float64Array(weight.length) });
  }
  for (let step = 0; step < 3; step++) {
    const { gradients } = await model.gradients(batch);
    for (const [name, { weight, momentum }] of expected) {
      const decay = name.includes("norm") ? 0 : given.weightDecay;
      gradients.get(name)!.forEach((gradient, at) => {
        momentum[at] = given.momentum * momentum[at]! + gradient + decay * weight[at]!;
        weight[at]! -= given.learningRate * momentum[at]!;
      });
    }
    await model.step(batch, given);
  }
  for (const [name, { weight }] of expected) {
    const actual = (await model.parameter(name)) as Float32Array;
    const off = weight.findIndex(
      (value, at) => Math.abs(value - actual[at]!) > 1e-5 + 1e-4 * Math.abs(value),
    );
    assert.is(off, -1, `${name}[${off}]: ${actual[off]}, ${weight[off]}`);
  }
  const message = await model.step(batch, { ...given, betas: [0.9, 0.99] }).then(
    () => "",
    (error: Error) => error.message,
  );
  assert.is(message, '[training] betas must be left out; given 0.9,0.99; the rule "sgd" has none');
});

test("two halves of a batch make the update of the whole", async () => {
  using device = cpuDevice({ threads: 2 });
  const { config } = checkpoint("tiny");
  const weights = initialWeights(config, { seed: 3, initializerRange: 0.1 });
  const documents = [{ tokens: text.slice(0, 7) }, { tokens: text.slice(4) }];
  const options = { ...short, programs: ["train", "accumulate", "update"] } as const;
  using whole = await openTrainingModel(config, weights, device, options);
  using halves = await openTrainingModel(config, weights, device, options);
  for (let step = 0; step < 3; step++) {
    const rates = { learningRate: 0.01, maxNorm: 1 };
    const one = await whole.step(batchOf(documents), rates);
    const two = await halves.step(
      documents.map((document) => batchOf([document])),
      rates,
    );
    assert.is(one.targets, two.targets);
    assert.ok(Math.abs(one.loss - two.loss) < 1e-5 * one.loss);
    assert.ok(Math.abs(one.gradientNorm - two.gradientNorm) < 1e-4 * one.gradientNorm);
  }
  const [a, b] = await Promise.all([whole, halves].map((one) => one.parameter("lm_head.weight")));
  // Adam divides by the gradient's own size: an element without a gradient to speak of turns rounding into a step.
  const distances = Array.from(a!, (value, at) => Math.abs(value - b![at]!));
  assert.ok(distances.reduce((sum, one) => sum + one, 0) / distances.length < 1e-5);
});

test("generation reads the weights that training wrote, and there is one copy of them", async () => {
  using device = cpuDevice({ threads: 2 });
  const generation = { capacity: 32, chunk: 16, logits: "all" } as const;
  const { model } = await learn(device, { generation });
  const { plan } = model.executable;
  assert.not(plan.buffers.some((one) => one.class === "weights"));
  const symbols = { seq: text.length, past: 0, dropped: 0, length: 0 };
  const { outputs } = await model.executable.run("prefill", {
    symbols,
    inputs: { tokens: Int32Array.from(text) },
  });
  const { vocabSize } = model.config;
  const drawn = text.map((_, at) => {
    const row = outputs.logits!.subarray(at * vocabSize, (at + 1) * vocabSize);
    return row.indexOf(Math.max(...row));
  });
  assert.equal(drawn.slice(0, -1), text.slice(1));
  model[Symbol.dispose]();
});

test("bf16 products read a rounding of f32 master weights", async () => {
  using device = cpuDevice({ threads: 2 });
  const { model, batch } = await learn(device, { policy: "bf16" });
  const { loss } = await model.loss(batch);
  assert.ok(loss < 0.1, `ends at ${loss}`);
  assert.ok((await model.parameter("lm_head.weight")) instanceof Float32Array);
  model[Symbol.dispose]();
});

test("only what is trained becomes a state; everything else stays as it is", async () => {
  using device = cpuDevice({ threads: 2 });
  const { config } = checkpoint("tiny");
  const last = `model.layers.${config.layers - 1}.`;
  const { model } = await learn(device, { trainable: (name) => name.startsWith(last) }, 2);
  const states = model.executable.plan.buffers.filter((one) => one.class === "state");
  const parameters = states.filter(({ name }) => !name.startsWith("optimizer."));
  assert.ok(parameters.length > 0 && parameters.every(({ name }) => name.startsWith(last)));
  assert.is(states.length, 3 * parameters.length + 1);
  model[Symbol.dispose]();
});

test("kernels of an update: one for each parameter, one more for each matrix, one for all norms", () => {
  const { config, weights } = checkpoint("tiny");
  const { plan } = compileTrainingModel(config, (one) => weights[one], {
    ...short,
    programs: ["train"],
  });
  const trained = Object.keys(weights);
  const matrices = trained.filter((one) => weights[one]!.shape.length > 1);
  const counted = (pattern: RegExp) =>
    plan.programs[0]!.steps.filter(({ kernel }) => pattern.test(plan.kernels[kernel]!.name)).length;
  const names = plan.programs[0]!.steps.map(({ kernel }) => plan.kernels[kernel]!.name);
  assert.is(counted(/^adam_w/), trained.length);
  assert.is(counted(/gradient_norm/), matrices.length + 2, names.join(" "));
  assert.is(counted(/^(write|save|copy)/), 0);
  // Gate and up, k and v, and the same weights of both layers are of one shape.
  assert.is(plan.kernels.filter(({ name }) => name.startsWith("adam_w")).length, 8);
});

test("the memory table: gradients apart from activations, and all of it what the device takes", async () => {
  using device = cpuDevice({ threads: 2 });
  const { config, weights } = checkpoint("tiny");
  const bytesOf = (of: readonly { readonly shape: readonly number[] }[]) =>
    of.reduce((sum, { shape }) => sum + 4 * shape.reduce((product, size) => product * size, 1), 0);
  const bytes = bytesOf(Object.values(weights));
  const tableOf = async (options: Omit<TrainingOptions, "sequence">) => {
    const compiled = compileTrainingModel(config, (one) => weights[one], { ...short, ...options });
    const { plan } = compiled;
    using model = await openTrainingModel(config, weights, device, { ...short, ...options }, compiled);
    const table = trainingMemory(plan, model.memory());
    assert.equal(trainingMemory(plan, device.predictMemory(plan)), table);
    const { total, ...parts } = table;
    assert.is(
      Object.values(parts).reduce((sum, one) => sum + one, 0),
      total,
    );
    assert.is(total, model.memory().total);
    assert.is(table.parameters, bytes);
    return { table, arena: plan.memory.activations };
  };
  const one = await tableOf({ programs: ["train"] });
  // All gradients wait for their common norm: with a batch as short as this the arena is fullest then.
  assert.is(one.table.gradients, bytes);
  assert.is(one.table.activations, one.arena - bytes);
  assert.not("cache" in one.table);
  const several = await tableOf({
    programs: ["accumulate", "update"],
    generation: { capacity: 64, chunk: 16, logits: "last" },
  });
  // Those of vectors are added to their sums where they are computed, and lie nowhere else.
  const vectors = bytesOf(Object.values(weights).filter(({ shape }) => shape.length === 1));
  assert.is(several.table.gradients, 2 * bytes - vectors);
  // What lies between the sums to align them is counted with the optimizer's states.
  const more = several.table.optimizer! - one.table.optimizer!;
  assert.ok(more > 0 && more <= 256 * Object.keys(weights).length, `${more} bytes more`);
  const { layers, kvHeads, headDim } = config;
  assert.is(several.table.cache, layers * 2 * kvHeads * 64 * headDim * 4);
});

test("what does not fit is refused in one message", async () => {
  using device = cpuDevice({ threads: 1 });
  const { config, weights } = checkpoint("tiny");
  using model = await openTrainingModel(config, weights, device, { ...short, programs: ["loss"] });
  const message = (call: Promise<unknown>) =>
    call.then(
      () => "nothing was refused",
      (error: unknown) => (error as WeftError).message,
    );
  const batch = batchOf([{ tokens: text }]);
  assert.is(
    await message(model.loss({ ...batch, targets: new Int32Array(3), starts: new Int32Array(2) })),
    "[training] targets must have one element for each of the 12 tokens; given 3\n" +
      "[training] starts must have one element for each of the 12 tokens; given 2",
  );
  assert.is(
    await message(model.parameter("model.norm.weights")),
    '[training] the parameter must be one that is trained; given "model.norm.weights"; did you mean "model.norm.weight"?',
  );
  assert.is(
    await message(model.step(batch, { learningRate: 1 })),
    '[training] the plan must have the program "accumulate"; given loss; name it among the programs when the model is opened',
  );
  assert.is(
    await message(model.executable.readState("model.norm.weights")),
    '[state] the plan "qwen3-train" must have a state of this name; given "model.norm.weights"; did you mean "model.norm.weight"?',
  );
  assert.is(
    await message(model.executable.writeState("model.norm.weight", new Float32Array(3))),
    `[state] the state has ${config.hiddenSize} elements; given 3; at model.norm.weight`,
  );
  assert.is(
    await message(model.executable.writeState("model.norm.weight", new Int32Array(3))),
    "[state] the state holds f32; given i32; at model.norm.weight",
  );
});

test.run();
