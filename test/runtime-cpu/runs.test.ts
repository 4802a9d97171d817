/** What a run promises beside its values: clear refusals, order, outputs, state, times. */
import { compileBlock } from "@weft/compiler/testing";
import { axis, linear } from "@weft/dsl";
import { cpuDevice } from "@weft/runtime-cpu";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { access, affine, Body, loop, PlanBuilder, slot } from "./plan-builder.ts";
import { feed, plan, rejection, shape, weights } from "./small-model.ts";

const test = suite("runs");

test("symbols and inputs that do not fit", async () => {
  using device = cpuDevice({ threads: 1 });
  using executable = await device.load(plan, weights);
  const run = (
    symbols: Record<string, number>,
    inputs: Record<string, Int32Array | Float32Array>,
    program = "step",
  ) => rejection(executable.run(program, { symbols, inputs }));
  const tokens = Int32Array.from([1, 2]);
  assert.match(await run({ past: 0, seq: 2 }, { tokens }, "stop"), /no program "stop"; it has: step/);
  assert.match(await run({ past: 0 }, { tokens }), /symbol seq is missing; give an integer from 0 to 8/);
  assert.match(
    await run({ past: 0, seq: 9 }, { tokens }),
    /symbol seq is 9, but memory was planned for at most 8/,
  );
  assert.match(
    await run({ past: 49, seq: 2 }, { tokens }),
    /symbol total is 51, but memory was planned for at most 50/,
  );
  assert.match(
    await run({ past: 0, seq: 2, total: 3 }, { tokens }),
    /total was given as 3, but its parts sum to 2/,
  );
  assert.match(await run({ past: 0, seq: 1.5 }, { tokens }), /symbol seq must be an integer/);
  assert.match(await run({ past: -1, seq: 2 }, { tokens }), /past must not be negative/);
  assert.match(
    await run({ past: 0, seq: 2, sequence: 1 }, { tokens }),
    /no symbol "sequence"; there is: past, seq, total/,
  );
  assert.match(
    await run({ past: 0, seq: 2 }, {}),
    /input tokens is missing; give an Int32Array of 2 elements/,
  );
  assert.match(
    await run({ past: 0, seq: 2 }, { tokens: new Float32Array(2) }),
    /tokens must be an Int32Array/,
  );
  assert.match(
    await run({ past: 0, seq: 2 }, { tokens: new Int32Array(3) }),
    /tokens has 3 elements, 2 are needed/,
  );
  assert.match(await run({ past: 0, seq: 2 }, { tokens, more: tokens }), /no input "more"/);
  for (const token of [11, -1, 2 ** 30])
    assert.match(
      await run({ past: 0, seq: 2 }, { tokens: Int32Array.from([1, token]) }),
      new RegExp(`input tokens: value ${token} at index 1 must be 0 to 10`),
    );
  const outputs = { y: new Float32Array(3) };
  assert.match(
    await rejection(executable.run("step", { symbols: { past: 0, seq: 2 }, inputs: { tokens }, outputs })),
    /output y has 3 elements, 64 are needed/,
  );
  assert.match(
    await rejection(
      executable.run("step", { symbols: { past: 0, seq: 2 }, inputs: { tokens }, outputs: { z: outputs.y } }),
    ),
    /no output "z"; there is: y/,
  );
});

test("state: token by token, reset, save, restore", async () => {
  using device = cpuDevice({ threads: 2 });
  using executable = await device.load(plan, weights);
  const whole = await feed(executable, 0, [3, 1, 4, 1]);
  await executable.reset();
  await feed(executable, 0, [3, 1]);
  const saved = await executable.saveState();
  assert.is(saved.length, executable.memory().state);
  await feed(executable, 2, [9, 9, 9]);
  await executable.restoreState(saved);
  const rest = await feed(executable, 2, [4, 1]);
  for (const [i, value] of rest.entries()) assert.ok(Math.abs(value - whole[i]!) < 1e-5);
  await executable.reset();
  assert.ok((await executable.saveState()).every((byte) => byte === 0));
  assert.match(await rejection(executable.restoreState(saved.subarray(1))), /saved by another plan\?/);
});

test("shiftState moves positions to the front of every state buffer", async () => {
  using device = cpuDevice({ threads: 2 });
  using executable = await device.load(plan, weights);
  await feed(executable, 0, [1, 2, 3, 4, 5]);
  const before = await executable.saveState();
  await executable.shiftState(2);
  const after = await executable.saveState();
  const row = shape.headDim * 4;
  for (const buffer of plan.buffers.filter((one) => one.class === "state"))
    for (let head = 0; head < shape.kvHeads; head++) {
      const start = buffer.offset + head * shape.capacity * row;
      const end = start + shape.capacity * row;
      assert.equal(after.slice(start, end - 2 * row), before.slice(start + 2 * row, end));
      assert.ok(after.slice(end - 2 * row, end).every((byte) => byte === 0));
    }
  assert.match(await rejection(executable.shiftState(51)), /cannot drop 51 positions of cache\.k/);
  assert.match(await rejection(executable.shiftState(-1)), /must not be negative/);
});

test("runs at once are executed in order, each with the inputs of its call", async () => {
  using device = cpuDevice({ threads: 2 });
  using executable = await device.load(plan, weights);
  const one = await feed(executable, 0, [7]);
  const two = await feed(executable, 0, [8]);
  const tokens = new Int32Array(1);
  const results = [];
  for (let i = 0; i < 20; i++) {
    tokens[0] = 7 + (i % 2);
    results.push(executable.run("step", { symbols: { past: 0, seq: 1 }, inputs: { tokens } }));
    if (i === 5)
      results.push(
        executable.run("step", { symbols: { past: 0, seq: 1 }, inputs: {} }).catch(() => undefined),
      );
  }
  const values = (await Promise.all(results)).filter((result) => result !== undefined);
  for (const [i, result] of values.entries()) assert.equal([...result.outputs.y!], i % 2 === 0 ? one : two);
});

test("outputs go into the caller's arrays when given", async () => {
  using device = cpuDevice({ threads: 1 });
  using executable = await device.load(plan, weights);
  const y = new Float32Array(2 * shape.hidden);
  const options = { symbols: { past: 0, seq: 2 }, inputs: { tokens: Int32Array.from([1, 2]) } };
  const given = await executable.run("step", { ...options, outputs: { y } });
  assert.is(given.outputs.y, y);
  assert.equal(y, (await executable.run("step", options)).outputs.y);
  assert.equal((await executable.run("step", { ...options, outputs: {} })).outputs, {});
});

test("profile: a time for each step", async () => {
  using device = cpuDevice({ threads: 2 });
  using executable = await device.load(plan, weights);
  const { steps, outputs } = await executable.profile("step", {
    symbols: { past: 0, seq: 2 },
    inputs: { tokens: Int32Array.from([1, 2]) },
  });
  assert.equal(
    steps.map(({ kernel }) => kernel),
    ["embed", "norm_qkv_rope", "attention", "o_residual"],
  );
  assert.ok(steps.every(({ nanoseconds, origins }) => nanoseconds > 0 && origins.length === 1));
  assert.is(outputs.y!.length, 2 * shape.hidden);
});

test("profile: what each thread did of each step, one behind the other, and the outputs of a plain run", async () => {
  const options = { symbols: { past: 0, seq: 3 }, inputs: { tokens: Int32Array.from([1, 2, 3]) } };
  for (const threads of [1, 2, 5]) {
    using device = cpuDevice({ threads });
    using executable = await device.load(plan, weights);
    const plain = await executable.run("step", options);
    await executable.reset();
    const { lanes, steps, outputs } = await executable.profile("step", options);
    assert.equal(outputs, plain.outputs);
    assert.equal(
      lanes,
      Array.from({ length: threads }, (_, thread) => `thread ${thread}`),
    );
    for (const { spans } of steps) {
      assert.is(spans.length, threads);
      for (const { begin, end, waited } of spans) {
        assert.ok(begin >= 0 && end > begin, `${begin} to ${end}`);
        assert.ok(waited >= 0 && waited <= end - begin, `${waited} of ${end - begin}`);
      }
    }
    // The first thread's steps follow each other without a gap, and no other one works behind the end of a step.
    for (const [index, { nanoseconds, spans }] of steps.entries()) {
      const [first] = spans;
      const end = first!.begin + nanoseconds;
      const next = steps[index + 1];
      if (next !== undefined) assert.is(next.spans[0]!.begin, end);
      assert.ok(spans.every((one) => one.end <= end));
      assert.ok(next === undefined || spans.every((one, thread) => next.spans[thread]!.begin >= one.end));
    }
  }
});

test("profile: what a thread waits for the others within a step is no work of its own", async () => {
  const [from, to] = [axis("from", 64), axis("to", 64)];
  const seq = axis("seq", { symbol: "seq", max: 64 });
  const { plan } = compileBlock(linear("up", from, to), { lead: [seq] });
  using device = cpuDevice({ threads: 2 });
  const data = new Float32Array(64 * 64);
  using executable = await device.load(plan, {
    "up.weight": { kind: "data", data, dtype: "f32", shape: [64, 64] },
  });
  const { steps } = await executable.profile("main", { symbols: { seq: 64 }, inputs: { input: data } });
  // Rows are packed by all threads before any multiplies.
  for (const { begin, end, waited } of steps[0]!.spans)
    assert.ok(waited > 0 && waited < end - begin, `${waited} of ${end - begin}`);
});

test("an output of another float dtype arrives as f32, an i32 output as Int32Array", async () => {
  const builder = new PlanBuilder();
  const x = builder.buffer("x", "input", "f32", [6]);
  const outs = (["bf16", "f16", "i32"] as const).map((dtype) => builder.buffer(dtype, "output", dtype, [6]));
  const steps = (["bf16", "f16", "i32"] as const).map((dtype, i) => {
    const body = new Body();
    body.store(access(1, []), body.load(access(0, []), 6), 6);
    const kernel = builder.kernel({
      kind: "rows",
      name: dtype,
      slots: [slot("x", "f32", "read"), slot("y", dtype, "write")],
      program: body.program([], loop("column", affine(6))),
    });
    return builder.step(kernel, x, outs[i]!);
  });
  builder.program("main", steps);
  using device = cpuDevice({ threads: 1 });
  using executable = await device.load(builder.plan, {});
  const { outputs } = await executable.run("main", {
    symbols: {},
    inputs: { x: Float32Array.from([1.0001, -2.75, 3e9, -3e9, Number.NaN, 0.999]) },
  });
  assert.equal([...outputs.i32!], [1, -2, 2147483647, -2147483648, 0, 0]);
  assert.instance(outputs.i32, Int32Array);
  assert.equal([...outputs.bf16!].slice(0, 2), [1, -2.75]);
  assert.equal([...outputs.f16!].slice(1, 4), [-2.75, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
});

test.run();
