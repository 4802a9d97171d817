/** States by name on every device: as they are stored, converted where another dtype is given, checked. */
import { compile } from "@weft/compiler";
import { type Dtype, GraphBuilder, orThrow, type WeftError } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { devicesHere, openDevice } from "../support/models.ts";

const test = suite("states by name");
const row = { name: "row", size: 3 };

/** Each run adds one to each of three states. */
function counters() {
  const builder = new GraphBuilder();
  const outputs = (["f32", "bf16", "i32"] as const satisfies readonly Dtype[]).map((dtype) => {
    const type = { dtype, axes: [row] };
    builder.declareState({ name: `counter.${dtype}`, type });
    const read = builder.add("stateRead", [], { state: `counter.${dtype}`, ...type });
    const wide = dtype === "bf16" ? builder.add("cast", [read], { dtype: "f32" }) : read;
    const one = builder.constant(1, dtype === "i32" ? "i32" : "f32");
    const sum = builder.add("cast", [builder.add("add", [wide, one], {})], { dtype });
    builder.add("stateWrite", [sum], { state: `counter.${dtype}` });
    return { name: dtype, node: builder.add("cast", [sum], { dtype: "f32" }) };
  });
  const graph = builder.finish("counters", outputs);
  return orThrow(compile([{ name: "main", graph, passes: [] }], { name: "counters" })).plan;
}

/** Each run appends a row to a state that holds positions, and adds it to one of the same shape that holds none. */
function kept() {
  const builder = new GraphBuilder();
  const keys = { name: "keys", size: { symbol: "keys", max: 4 } };
  const whole = [{ name: "keys", size: 4 }, row];
  builder.declareSymbol({ name: "past", max: 3 });
  builder.declareSymbol({ name: "keys", max: 4, sum: ["past", "seq"] });
  builder.declareSymbol({ name: "seq", max: 1 });
  for (const name of ["before", "cache", "weight", "other"])
    builder.declareState({ name, type: { dtype: "f32", axes: whole } });
  const x = builder.add("input", [], {
    name: "x",
    dtype: "f32",
    axes: [{ name: "seq", size: { symbol: "seq", max: 1 } }, row],
  });
  const appended = (state: string) =>
    builder.add("stateAppend", [x], {
      state,
      axis: "seq",
      into: "keys",
      past: "past",
      axes: [keys, row],
      dtype: "f32",
    });
  const [cache, other] = [appended("cache"), appended("other")];
  const sum = builder.add("reduceSum", [x], { axis: "seq" });
  for (const state of ["before", "weight"]) {
    const read = builder.add("stateRead", [], { state, dtype: "f32", axes: whole });
    builder.add("stateWrite", [builder.add("add", [read, sum], {})], { state });
  }
  const outputs = [cache, other].map((node, at) => ({ name: `rows${at}`, node }));
  return orThrow(
    compile([{ name: "main", graph: builder.finish("kept", outputs), passes: [] }], { name: "kept" }),
  ).plan;
}

const message = (call: Promise<unknown>) =>
  call.then(
    () => "nothing was refused",
    (error: unknown) => (error as WeftError).message,
  );

for (const where of await devicesHere()) {
  test(`${where}: what is written is read, and what a program made of it`, async () => {
    using device = await openDevice(where);
    using executable = await device.load(counters(), {});
    assert.equal(await executable.readState("counter.f32"), new Float32Array(3));
    await executable.writeState("counter.f32", Float32Array.of(1, -2, 0.5));
    await executable.writeState("counter.bf16", Float32Array.of(1, -2, 1.00390625));
    await executable.writeState("counter.i32", Int32Array.of(7, -8, 9));
    // 1.00390625 lies between two bf16 numbers, and goes to the even one.
    assert.equal(await executable.readState("counter.bf16"), Uint16Array.of(0x3f80, 0xc000, 0x3f80));
    await executable.run("main", { symbols: {}, inputs: {} });
    assert.equal(await executable.readState("counter.f32"), Float32Array.of(2, -1, 1.5));
    assert.equal(await executable.readState("counter.bf16"), Uint16Array.of(0x4000, 0xbf80, 0x4000));
    assert.equal(await executable.readState("counter.i32"), Int32Array.of(8, -7, 10));
    const bits = Uint16Array.of(0x3f80, 0xc000, 0x4000);
    await executable.writeState("counter.f32", bits, { dtype: "bf16" });
    assert.equal(await executable.readState("counter.f32"), Float32Array.of(1, -2, 2));
    await executable.writeState("counter.f32", Float32Array.of(8, 9), { at: 1 });
    assert.equal((await executable.readState("counter.f32")).slice(1), Float32Array.of(8, 9));
    await executable.writeState("counter.f32", Uint16Array.of(0x3c00, 0xc000, 0x4000), { dtype: "f16" });
    assert.equal(await executable.readState("counter.f32"), Float32Array.of(1, -2, 2));
    assert.equal(await executable.readState("counter.bf16"), Uint16Array.of(0x4000, 0xbf80, 0x4000));
  });

  test(`${where}: what is saved, put back and shifted are the states that hold positions`, async () => {
    using device = await openDevice(where);
    using executable = await device.load(kept(), {});
    const run = (past: number, value: number) =>
      executable.run("main", {
        symbols: { past, seq: 1 },
        inputs: { x: Float32Array.of(value, value, value) },
      });
    const firsts = async (name: string) => {
      const values = await executable.readState(name);
      return [0, 3, 6, 9].map((at) => values[at]);
    };
    await run(0, 1);
    await run(1, 2);
    const saved = await executable.saveState();
    // Two states of 48 bytes, each at a multiple of 256.
    assert.is(saved.length, 512);
    assert.equal([...new Float32Array(saved.buffer, 256, 4)], [1, 1, 1, 2]);
    await run(2, 3);
    await executable.shiftState(1);
    for (const name of ["cache", "other"]) assert.equal(await firsts(name), [2, 3, 0, 0]);
    for (const name of ["before", "weight"]) assert.equal(await firsts(name), [6, 6, 6, 6]);
    await executable.restoreState(saved);
    for (const name of ["cache", "other"]) assert.equal(await firsts(name), [1, 2, 0, 0]);
    for (const name of ["before", "weight"]) assert.equal(await firsts(name), [6, 6, 6, 6]);
  });

  test(`${where}: calls keep their order and their values`, async () => {
    using device = await openDevice(where);
    using executable = await device.load(counters(), {});
    const values = Float32Array.of(1, 2, 3);
    const written = [
      executable.run("main", { symbols: {}, inputs: {} }),
      executable.writeState("counter.f32", values),
    ];
    values.fill(9);
    const read = executable.readState("counter.f32");
    await Promise.all(written);
    assert.equal(await read, Float32Array.of(1, 2, 3));
  });

  test(`${where}: what does not fit is refused, and nothing is written`, async () => {
    using device = await openDevice(where);
    using executable = await device.load(counters(), {});
    assert.is(
      await message(executable.readState("counter.f16")),
      '[state] the plan "counters" must have a state of this name; given "counter.f16"; did you mean "counter.bf16"?',
    );
    assert.is(
      await message(executable.writeState("counter.f32", new Float32Array(4))),
      "[state] the state has 3 elements; given 4; at counter.f32",
    );
    for (const [count, at] of [
      [1, 3],
      [4, 0],
      [1, 0.5],
      [1, -1],
    ] as const)
      assert.is(
        await message(executable.writeState("counter.f32", new Float32Array(count).fill(7), { at })),
        `[state] a part must lie within the 3 elements; given ${count} from ${at}; at counter.f32`,
      );
    assert.is(
      await message(executable.writeState("counter.i32", new Float32Array(3))),
      "[state] the state holds i32; given f32; at counter.i32",
    );
    assert.is(
      await message(executable.writeState("counter.bf16", new Uint16Array(3), { dtype: "f32" })),
      "[state] values of f32 must be a Float32Array; given Uint16Array; at counter.bf16",
    );
    assert.equal(await executable.readState("counter.f32"), new Float32Array(3));
  });
}

test.run();
