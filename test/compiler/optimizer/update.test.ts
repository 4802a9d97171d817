/** Updates on every device against the formulas in plain TypeScript, and what the kernels of an update are. */
import {
  accumulateGradients,
  adamW,
  adamWHyperparameters,
  type Compiled,
  compile,
  optimizer,
  optimizerStates,
  sgd,
  sgdHyperparameters,
} from "@weft/compiler";
import { orThrow, WeftError } from "@weft/dsl";
import type { Executable } from "@weft/runtime";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { interpreterDevice } from "../../support/interpreter-device.ts";
import { devicesHere, openDevice } from "../../support/models.ts";
import { adamWReference, clipOf } from "../../support/optimizer-reference.ts";
import { backward, gradientsAt, type Name, names, sizeOf, smallLoss, valuesOf } from "./small-loss.ts";

const test = suite("optimizer");
const options = {
  learningRate: 0.05,
  betas: [0.8, 0.9],
  epsilon: 1e-3,
  weightDecay: 0.1,
  maxNorm: 3,
} as const;

function compiledFor(rule = adamW, accumulated = false, fusion = true): Compiled {
  const program = (name: string, pass: ReturnType<typeof optimizer>) => ({
    name,
    graph: smallLoss(),
    passes: [...backward(), pass],
  });
  const programs = accumulated
    ? [
        program("accumulate", accumulateGradients({ loss: "loss", tokens: "tokens" })),
        program("update", optimizer({ loss: "loss", rule, accumulatedTokens: "tokens" })),
      ]
    : [program("train", optimizer({ loss: "loss", rule }))];
  return orThrow(compile(programs, { name: "small", fusion }));
}

async function onEach(
  compiled: Compiled,
  run: (executable: Executable, where: string) => Promise<void>,
): Promise<void> {
  for (const where of ["interpreter", ...(await devicesHere())] as const) {
    using device = where === "interpreter" ? interpreterDevice(compiled) : await openDevice(where);
    using executable = await device.load(compiled.plan, {});
    for (const name of names)
      await executable.writeState(name, Float32Array.from(valuesOf(name, sizeOf(name))));
    await run(executable, where);
  }
}

const floats = (data: Float64Array) => Float32Array.from(data);
const start = () =>
  new Map(
    names.map((name) => [
      name,
      {
        weight: valuesOf(name, sizeOf(name)),
        first: new Float64Array(sizeOf(name)),
        second: new Float64Array(sizeOf(name)),
        decays: name !== "bias",
      },
    ]),
  );
const weightsOf = (states: ReturnType<typeof start>) =>
  new Map([...states].map(([name, { weight }]) => [name, weight]));

function close(actual: ArrayLike<number>, expected: ArrayLike<number>, label: string): void {
  assert.is(actual.length, expected.length, label);
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    assert.ok(
      difference <= 2e-5 + 2e-5 * Math.abs(expected[i]!),
      `${label}[${i}]: ${actual[i]}, ${expected[i]}`,
    );
  }
}

for (const fusion of [true, false]) {
  test(`AdamW is PyTorch's for some steps, ${fusion ? "fused" : "op by op"}`, async () => {
    const compiled = compiledFor(adamW, false, fusion);
    await onEach(compiled, async (executable, where) => {
      const states = start();
      for (let step = 1; step <= 6; step++) {
        const x = valuesOf("x", 6, step);
        const { loss, gradients } = gradientsAt(weightsOf(states), x);
        const { norm, factor } = clipOf(gradients.values(), options.maxNorm);
        const { outputs } = await executable.run("train", {
          symbols: {},
          inputs: {
            x: floats(x),
            count: Float32Array.of(1),
            hyperparameters: adamWHyperparameters({ ...options, step }),
          },
        });
        close(outputs.loss!, [loss], `${where} loss of step ${step}`);
        close(outputs.gradientNorm!, [norm], `${where} norm of step ${step}`);
        assert.is(outputs.skipped![0], 0);
        for (const [name, state] of states)
          adamWReference(state, gradients.get(name)!, factor, step, options);
      }
      for (const [name, { weight, first, second }] of states) {
        close(await executable.readState(name), weight, `${where} ${name}`);
        close(await executable.readState(optimizerStates.firstMoment(name)), first, `${where} m of ${name}`);
        close(
          await executable.readState(optimizerStates.secondMoment(name)),
          second,
          `${where} v of ${name}`,
        );
      }
    });
  });
}

test("SGD with momentum is PyTorch's", async () => {
  const compiled = compiledFor(sgd);
  const given = { learningRate: 0.01, momentum: 0.9, weightDecay: 0.05 };
  await onEach(compiled, async (executable, where) => {
    const states = start();
    for (let step = 1; step <= 4; step++) {
      const x = valuesOf("x", 6, step);
      const { gradients } = gradientsAt(weightsOf(states), x);
      await executable.run("train", {
        symbols: {},
        inputs: { x: floats(x), count: Float32Array.of(1), hyperparameters: sgdHyperparameters(given) },
      });
      for (const [name, { weight, first, decays }] of states) {
        gradients.get(name)!.forEach((g, i) => {
          first[i] = given.momentum * first[i]! + g + (decays ? given.weightDecay * weight[i]! : 0);
          weight[i]! -= given.learningRate * first[i]!;
        });
      }
    }
    for (const [name, { weight, first }] of states) {
      close(await executable.readState(name), weight, `${where} ${name}`);
      close(
        await executable.readState(optimizerStates.momentum(name)),
        first,
        `${where} momentum of ${name}`,
      );
    }
  });
});

test("several passes make one update: each counts by its tokens, and the sums begin anew", async () => {
  const compiled = compiledFor(adamW, true);
  await onEach(compiled, async (executable, where) => {
    const states = start();
    const passes = [
      { x: valuesOf("x", 6, 1), tokens: 3 },
      { x: valuesOf("x", 6, 2), tokens: 0 },
      { x: valuesOf("x", 6, 3), tokens: 5 },
    ];
    for (let step = 1; step <= 2; step++) {
      const mean = new Map<Name, Float64Array>(names.map((name) => [name, new Float64Array(sizeOf(name))]));
      let lossMean = 0;
      for (const { x, tokens } of passes) {
        const { loss, gradients } = gradientsAt(weightsOf(states), x);
        lossMean += (loss * tokens) / 8;
        for (const [name, sum] of mean)
          gradients.get(name)!.forEach((g, i) => {
            sum[i]! += (g * tokens) / 8;
          });
        const inputs = { x: floats(x), count: Float32Array.of(tokens) };
        await executable.run("accumulate", { symbols: {}, inputs });
      }
      const { norm, factor } = clipOf(mean.values(), options.maxNorm);
      for (const [name, state] of states) adamWReference(state, mean.get(name)!, factor, step, options);
      const hyperparameters = adamWHyperparameters({ ...options, step });
      const { outputs } = await executable.run("update", { symbols: {}, inputs: { hyperparameters } });
      close(outputs.loss!, [lossMean], `${where} loss`);
      close(outputs.gradientNorm!, [norm], `${where} norm`);
      assert.equal([...outputs.tokens!], [16]);
    }
    for (const [name, { weight }] of states) {
      close(await executable.readState(name), weight, `${where} ${name}`);
      const sums = await executable.readState(optimizerStates.gradient(name));
      assert.ok(
        sums.every((one) => one === 0),
        `${where}: the sums of ${name} are zero again`,
      );
    }
  });
});

for (const accumulated of [false, true]) {
  test(`a step that is not finite changes nothing and is counted${accumulated ? ", behind several passes" : ""}`, async () => {
    const compiled = compiledFor(adamW, accumulated);
    await onEach(compiled, async (executable, where) => {
      const hyperparameters = adamWHyperparameters({ ...options, step: 1 });
      const run = async (x: Float32Array) => {
        const count = Float32Array.of(1);
        if (!accumulated)
          return executable.run("train", { symbols: {}, inputs: { x, count, hyperparameters } });
        await executable.run("accumulate", { symbols: {}, inputs: { x, count } });
        return executable.run("update", { symbols: {}, inputs: { hyperparameters } });
      };
      await run(floats(valuesOf("x", 6, 1)));
      const kept = await Promise.all(names.map((name) => executable.readState(name)));
      const moments = await Promise.all(
        names.map((name) => executable.readState(optimizerStates.secondMoment(name))),
      );
      let count = 0;
      for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, 3e38]) {
        const { outputs } = await run(floats(valuesOf("x", 6, 2)).fill(bad, 2, 3));
        assert.is(outputs.skipped![0], ++count, `${where}: ${bad}`);
      }
      for (const [at, name] of names.entries()) {
        assert.equal(await executable.readState(name), kept[at], `${where} ${name}`);
        const second = await executable.readState(optimizerStates.secondMoment(name));
        assert.equal(second, moments[at], `${where} v of ${name}`);
      }
      const { outputs } = await run(floats(valuesOf("x", 6, 2)));
      assert.is(outputs.skipped![0], count, `${where}: the next one is made`);
      assert.not.equal(await executable.readState("matrix"), kept[0]);
    });
  });
}

test("one kernel updates one parameter, in place, and no state is copied", () => {
  for (const accumulated of [false, true]) {
    const { plan } = compiledFor(adamW, accumulated);
    const program = plan.programs.find(({ name }) => name === (accumulated ? "update" : "train"))!;
    const updates = program.steps.filter(({ kernel }) => plan.kernels[kernel]!.name.startsWith("adam_w"));
    assert.is(updates.length, names.length);
    for (const { kernel, bindings } of updates) {
      const written = plan.kernels[kernel]!.slots.flatMap(({ access }, slot) =>
        access === "read" ? [] : [{ access, ...plan.buffers[bindings[slot]!]! }],
      );
      assert.is(written.length, accumulated ? 4 : 3);
      assert.ok(written.every((one) => one.access === "update" && one.class === "state"));
    }
    const all = plan.programs.flatMap(({ steps }) => steps.map(({ kernel }) => plan.kernels[kernel]!.name));
    assert.equal(
      all.filter((name) => /^(write|save)/.test(name)),
      [],
      all.join(" "),
    );
  }
});

test("parameters of one shape share the kernel", () => {
  const { plan } = compiledFor();
  assert.is(new Set(plan.kernels.map(({ name }) => name)).size, plan.kernels.length);
  assert.is(plan.kernels.filter(({ name }) => name.startsWith("adam_w")).length, 3);
});

test("wrong hyperparameters are named together", () => {
  const sentences = (call: () => unknown) => {
    try {
      call();
    } catch (error) {
      if (error instanceof WeftError) return error.message;
    }
    return "nothing was thrown";
  };
  assert.is(
    sentences(() =>
      adamWHyperparameters({ learningRate: -1, betas: [1, 0.9], step: 0, maxNorm: Number.NaN }),
    ),
    [
      "[optimizer] learningRate must be a number of at least 0; given -1",
      "[optimizer] betas[0] must be at least 0 and below 1; given 1",
      "[optimizer] maxNorm must be above 0; given NaN",
      "[optimizer] step must be an integer of at least 1; given 0",
    ].join("\n"),
  );
});

test("an optimizer without gradients, and one of an unknown loss, are refused", () => {
  const message = (passes: ReturnType<typeof backward>) => {
    const result = compile([{ name: "train", graph: smallLoss(), passes }], { name: "small" });
    return result._tag === "Left" ? new WeftError(result.left).message : "compiled";
  };
  assert.is(
    message([optimizer({ loss: "loss", rule: adamW })]),
    "[optimizer] the graph must have gradients as outputs; run grad before",
  );
  assert.is(
    message([...backward("bf16"), optimizer({ loss: "loss", rule: adamW })]),
    'unsupported: [optimizer] weights under training must be stored as f32; given bf16 for heads; or as bf16 with the optimizer\'s option rounding: "stochastic"',
  );
  assert.is(
    message([...backward(), optimizer({ loss: "lost", rule: adamW })]),
    '[optimizer] the loss and the count of tokens must be outputs of the graph; given "lost"; did you mean "loss"?',
  );
});

test.run();
