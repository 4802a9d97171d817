/** A float that no integer type holds becomes the same one everywhere: interpreter, CPU, GPU; in memory and between instructions. */
import { interpret } from "@weft/compiler";
import { GraphBuilder, type TensorArray } from "@weft/dsl";
import { cpuDevice } from "@weft/runtime-cpu";
import { openSimulator } from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { runOnDevice } from "../support/run-plan.ts";

const test = suite("casts to integers");

const most = 2147483647;
const beyond = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN];
const cases = {
  i32: {
    values: [0.5, -0.5, 1.75, -1.75, 16777217, 2147483520, -2147483648, 2147483648, 3e9, -3e9, ...beyond],
    stored: [0, 0, 1, -1, 16777216, 2147483520, -most - 1, most, most, -most - 1, most, -most - 1, 0],
  },
  // 17 elements: single ones; 16: whole words.
  i8: {
    values: [0.5, -0.5, 0.75, 1.5, 2.5, -2.5, 126.5, -126.5, 126.6, 127.5, 128, -127.5, -128, 3e9, ...beyond],
    stored: [0, 0, 1, 2, 2, -2, 126, -126, 127, 127, 127, -127, -127, 127, 127, -127, 0],
  },
  "i8 in words": {
    values: Array.from({ length: 64 }, (_, at) => 4.5 * (at - 32)),
    stored: Array.from({ length: 64 }, (_, at) => {
      const value = Math.abs(4.5 * (at - 32));
      const even = value % 1 === 0.5 && Math.floor(value) % 2 === 0 ? Math.floor(value) : Math.round(value);
      return Math.min(127, even) * (at < 32 ? -1 : 1);
    }),
  },
};

for (const [name, { values, stored }] of Object.entries(cases)) {
  const dtype = name === "i32" ? "i32" : "i8";
  const axes = [{ name: "a", size: values.length }];
  const x: TensorArray = { dtype: "f32", axes, data: Float64Array.from(values, Math.fround) };
  const builder = new GraphBuilder();
  const input = builder.add("input", [], { name: "x", dtype: "f32", axes });
  const whole = builder.add("cast", [input], { dtype });
  const back = builder.add("cast", [whole], { dtype: "f32" });
  // One is not all there is to its kernel, so that the integers stay in registers.
  const sum = builder.add("add", [back, back], {});
  const graph = builder.finish("casts", [
    { name: "whole", node: whole },
    { name: "sum", node: sum },
  ]);
  const inputs = new Map([["x", x]]);
  const given = {
    symbols: new Map<string, number>(),
    inputs,
    weights: new Map(),
    parameters: () => undefined,
  };

  const check = (outputs: ReadonlyMap<string, TensorArray>): void => {
    assert.equal(
      Array.from(outputs.get("whole")!.data, (value) => value + 0),
      stored.map((value) => value + 0),
    );
    // Numbers between instructions are f32, in which the largest i32 is 2^31.
    assert.equal(
      Array.from(outputs.get("sum")!.data, (value) => Math.fround(value) + 0),
      stored.map((value) => Math.fround(2 * Math.fround(value)) + 0),
    );
  };

  test(`${name}: the interpreter`, () => check(interpret(graph, given)));

  for (const fusion of [true, false]) {
    const how = fusion ? "fused" : "unfused";
    test(`${name}: the CPU, ${how}`, async () => {
      using device = cpuDevice({ threads: 1 });
      check(await runOnDevice(device, graph, given, { fusion }));
    });
    test(`${name}: the simulated GPU, ${how}`, async () => {
      using device = await openSimulator();
      check(await runOnDevice(device, graph, given, { fusion }));
    });
  }
}

test.run();
