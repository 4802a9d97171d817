/** Updates of bf16 weights on every device: the bits of the reference, one kernel, and small steps that add up. */
import {
  adamW,
  adamWHyperparameters,
  type Compiled,
  compile,
  grad,
  optimizer,
  optimizerStates,
  precision,
  sgd,
  sgdHyperparameters,
  type UpdateRule,
} from "@weft/compiler";
import {
  type Dtype,
  GraphBuilder,
  orThrow,
  randomHalf,
  roundingKey,
  roundingStream,
  roundTo,
  roundWith,
  WeftError,
} from "@weft/dsl";
import type { Executable, StateArray, Weight } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { interpreterDevice } from "../../support/interpreter-device.ts";
import { devicesHere, openDevice } from "../../support/models.ts";
import { adamWReference, clipOf } from "../../support/optimizer-reference.ts";
import { backward, gradientsAt, names, sizeOf, smallLoss, valuesOf } from "./small-loss.ts";

const test = suite("optimizer: bf16 weights");
const options = {
  learningRate: 0.004,
  betas: [0.8, 0.9],
  epsilon: 1e-3,
  weightDecay: 0.1,
  maxNorm: 3,
} as const;
const seed = 2 ** 40 + 5;

const compiledFor = (rule: UpdateRule, dtype: Dtype = "bf16"): Compiled =>
  orThrow(
    compile(
      [
        {
          name: "train",
          graph: smallLoss(),
          passes: [...backward(dtype), optimizer({ loss: "loss", rule, rounding: "stochastic" })],
        },
      ],
      { name: "small" },
    ),
  );

const streams = (parameters: readonly string[]): Record<string, Weight> =>
  Object.fromEntries(
    parameters.map((name) => [
      optimizerStates.stream(name),
      { kind: "data", data: Float32Array.of(roundingStream(name)), dtype: "f32", shape: [] },
    ]),
  );

const widened = (bits: ArrayLike<number>) =>
  Float64Array.from(new Float32Array(Uint32Array.from(bits, (one) => one * 0x10000).buffer));

test("AdamW moves what is stored by the reference's roundings, on every device", async () => {
  const compiled = compiledFor(adamW);
  for (const where of ["interpreter", ...(await devicesHere())] as const) {
    using device = where === "interpreter" ? interpreterDevice(compiled) : await openDevice(where);
    using executable = await device.load(compiled.plan, streams(names));
    for (const name of names)
      await executable.writeState(name, Float32Array.from(valuesOf(name, sizeOf(name))));
    const moments = new Map(
      names.map((name) => [
        name,
        { first: new Float64Array(sizeOf(name)), second: new Float64Array(sizeOf(name)) },
      ]),
    );
    let [same, all, up] = [0, 0, 0];
    for (let step = 1; step <= 6; step++) {
      const before = new Map<(typeof names)[number], Float64Array>();
      for (const name of names) before.set(name, widened(await executable.readState(name)));
      const x = valuesOf("x", 6, step);
      const { gradients } = gradientsAt(before, x);
      const { factor } = clipOf(gradients.values(), options.maxNorm);
      await executable.run("train", {
        symbols: {},
        inputs: {
          x: Float32Array.from(x),
          count: Float32Array.of(1),
          hyperparameters: adamWHyperparameters({ ...options, step, rounding: { seed, step } }),
        },
      });
      for (const [name, weight] of before) {
        adamWReference(
          { weight, ...moments.get(name)!, decays: name !== "bias" },
          gradients.get(name)!,
          factor,
          step,
          options,
        );
        const after = widened(await executable.readState(name));
        after.forEach((value, at) => {
          const exact = weight[at]!;
          const half = randomHalf(at, roundingKey(seed, step), roundingStream(name));
          // Where the last bits of f32 differ, a rounding may go the other way; never further.
          const neighbours = [roundWith(exact, 0), roundWith(exact, 0xffff)];
          assert.ok(neighbours.includes(value), `${where} ${name}[${at}]: ${value} from ${exact}`);
          all++;
          if (value === roundWith(exact, half)) same++;
          if (Math.abs(value) > Math.abs(exact)) up++;
        });
      }
    }
    assert.ok(same >= 0.99 * all, `${where}: ${same} of ${all} are rounded as the reference does`);
    assert.ok(up > 0.3 * all && up < 0.7 * all, `${where}: ${up} of ${all} are rounded up`);
  }
});

for (const rule of [adamW, sgd]) {
  test(`${rule.name}: one kernel for each parameter, in place, and nothing but 2 bytes and its moments`, () => {
    const { plan } = compiledFor(rule);
    const steps = plan.programs[0]!.steps.map((step) => ({ ...step, kernel: plan.kernels[step.kernel]! }));
    const updates = steps.filter(
      ({ kernel }) =>
        kernel.slots.some(({ dtype }) => dtype === "bf16") &&
        kernel.slots.some(({ access }) => access === "update"),
    );
    assert.is(updates.length, names.length);
    const moments = rule === adamW ? 2 : 1;
    for (const { kernel, bindings } of updates) {
      const written = kernel.slots.flatMap((slot, at) =>
        slot.access === "read" ? [] : [{ ...slot, ...plan.buffers[bindings[at]!]! }],
      );
      assert.equal(written.map(({ dtype }) => dtype).sort(), ["bf16", ...new Array(moments).fill("f32")]);
      assert.ok(written.every((one) => one.access === "update" && one.class === "state"));
    }
    assert.equal(
      steps.filter(({ kernel }) => /^(write|save)/.test(kernel.name)),
      [],
    );
    const elements = names.reduce((sum, name) => sum + sizeOf(name), 0);
    const states = plan.buffers.filter((one) => one.class === "state" && one.shape.length > 0);
    assert.is(
      states.reduce((sum, { bytes }) => sum + bytes, 0),
      (2 + 4 * moments) * elements,
    );
  });
}

test("parameters of one shape share the kernel: streams are data", () => {
  const { plan } = compiledFor(adamW);
  assert.is(plan.kernels.filter(({ name }) => name.startsWith("adam_w")).length, names.length);
  assert.equal(
    plan.buffers.flatMap((one) => (one.class === "weights" ? [one.name] : [])).sort(),
    names.map(optimizerStates.stream).sort(),
  );
});

test("a step that is not finite changes no weight", async () => {
  const compiled = compiledFor(adamW);
  for (const where of await devicesHere()) {
    using device = await openDevice(where);
    using executable = await device.load(compiled.plan, streams(names));
    const run = (x: Float32Array, step: number) =>
      executable.run("train", {
        symbols: {},
        inputs: {
          x,
          count: Float32Array.of(1),
          hyperparameters: adamWHyperparameters({ ...options, step, rounding: { seed, step } }),
        },
      });
    await executable.writeState("matrix", Float32Array.from(valuesOf("matrix", sizeOf("matrix"))));
    await run(Float32Array.from(valuesOf("x", 6)), 1);
    const states = compiled.plan.buffers.filter((one) => one.class === "state").map(({ name }) => name);
    const statesNow = async () => {
      const values: (readonly [string, StateArray])[] = [];
      for (const name of states)
        if (name !== optimizerStates.skipped) values.push([name, await executable.readState(name)]);
      return values;
    };
    const before = await statesNow();
    assert.is(before.length, states.length - 1);
    const { outputs } = await run(new Float32Array(6).fill(Number.NaN), 2);
    assert.equal([...outputs.skipped!], [1]);
    assert.equal(await statesNow(), before, where);
  }
});

/** loss = the sum of all weights, so that every gradient is 1. */
function slope(size: number): Compiled {
  const builder = new GraphBuilder();
  const weight = builder.add("parameter", [], { name: "weight", dtype: "f32", axes: [{ name: "n", size }] });
  const loss = builder.add("reduceSum", [weight], { axis: "n" });
  const passes = [
    grad({ loss: "loss" }),
    precision({ policy: "f32", storage: () => "bf16" }),
    optimizer({ loss: "loss", rule: sgd, rounding: "stochastic" }),
  ];
  const graph = builder.finish("slope", [{ name: "loss", node: loss }]);
  return orThrow(compile([{ name: "train", graph, passes }], { name: "slope" }));
}

async function descend(executable: Executable, steps: number, learningRate: number): Promise<Float64Array> {
  for (let step = 1; step <= steps; step++) {
    const rounding = { seed, step };
    const hyperparameters = sgdHyperparameters({ learningRate, momentum: 0, rounding });
    await executable.run("train", { symbols: {}, inputs: { hyperparameters } });
  }
  return widened(await executable.readState("weight"));
}

test("a thousand steps of a hundredth of the last digit move a weight by ten digits", async () => {
  const [size, steps, digit] = [2048, 1000, 2 ** -7];
  const step = digit / 100;
  assert.is(roundTo("bf16", 1.5 - step), 1.5, "rounded to nearest, nothing would ever move");
  using device = cpuDevice({ threads: 1 });
  using executable = await device.load(slope(size).plan, streams(["weight"]));
  await executable.writeState("weight", new Float32Array(size).fill(1.5));
  const after = await descend(executable, steps, step);
  const moved = after.reduce((sum, value) => sum + (1.5 - value) / digit, 0) / size;
  // Each step rounds down once in a hundred: a variance of 0.0099 digits^2 a step. Five standard deviations of the mean.
  const bound = 5 * Math.sqrt((steps * 0.0099) / size);
  assert.ok(Math.abs(moved - 10) < bound, `${moved} digits, within ${bound} of 10`);
});

test("what must be said, and what is refused", async () => {
  const result = compile(
    [
      {
        name: "train",
        graph: smallLoss(),
        passes: [...backward("f16"), optimizer({ loss: "loss", rule: adamW, rounding: "stochastic" })],
      },
    ],
    { name: "small" },
  );
  assert.match(
    result._tag === "Left" ? new WeftError(result.left).message : "compiled",
    /weights under training must be stored as f32; given f16 for heads; or as bf16 with/,
  );
  using device = cpuDevice({ threads: 1 });
  const message = await device.load(slope(8).plan, {}).then(
    () => "loaded",
    (error: Error) => error.message,
  );
  assert.match(message, /optimizer\.stream\.weight/);
  assert.throws(
    () => sgdHyperparameters({ learningRate: 1, rounding: { seed: -1, step: 1.5 } }),
    /rounding\.seed must be an integer from 0 to 2\^53 - 1; given -1\n.*rounding\.step must be an integer/,
  );
});

test.run();
