/** A float that no i32 holds becomes the same one everywhere: interpreter, CPU, GPU; in memory and between instructions. */
import { interpret } from "@weft/compiler";
import { GraphBuilder, type TensorArray } from "@weft/dsl";
import { cpuDevice } from "@weft/runtime-cpu";
import { openSimulator } from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { runOnDevice } from "../support/run-plan.ts";

const test = suite("casts to i32");

const values = [0.5, -0.5, 1.75, -1.75, 16777217, 2147483520, -2147483648, 2147483648, 3e9, -3e9].concat([
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  Number.NaN,
]);
const axes = [{ name: "a", size: values.length }];
const x: TensorArray = { dtype: "f32", axes, data: Float64Array.from(values, Math.fround) };
const most = 2147483647;
const stored = [0, 0, 1, -1, 16777216, 2147483520, -most - 1, most, most, -most - 1, most, -most - 1, 0];

const builder = new GraphBuilder();
const input = builder.add("input", [], { name: "x", dtype: "f32", axes });
const whole = builder.add("cast", [input], { dtype: "i32" });
const back = builder.add("cast", [whole], { dtype: "f32" });
// One is not all there is to its kernel, so that the integers stay in registers.
const sum = builder.add("add", [back, back], {});
const graph = builder.finish("casts", [
  { name: "whole", node: whole },
  { name: "sum", node: sum },
]);
const inputs = new Map([["x", x]]);
const given = { symbols: new Map<string, number>(), inputs, weights: new Map(), parameters: () => undefined };

function check(outputs: ReadonlyMap<string, TensorArray>): void {
  assert.equal([...outputs.get("whole")!.data], stored);
  // Numbers between instructions are f32, in which the largest i32 is 2^31.
  assert.equal(
    [...outputs.get("sum")!.data].map(Math.fround),
    stored.map((value) => Math.fround(2 * Math.fround(value))),
  );
}

test("the interpreter", () => check(interpret(graph, given)));

for (const fusion of [true, false]) {
  const how = fusion ? "fused" : "unfused";
  test(`the CPU, ${how}`, async () => {
    using device = cpuDevice({ threads: 1 });
    check(await runOnDevice(device, graph, given, { fusion }));
  });
  test(`the simulated GPU, ${how}`, async () => {
    using device = await openSimulator();
    check(await runOnDevice(device, graph, given, { fusion }));
  });
}

test.run();
