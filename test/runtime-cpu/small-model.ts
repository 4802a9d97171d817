/** What the tests of executables share: a small model with a cache, and a plan that takes its time. */
import type { Plan } from "@weft/compiler";
import type { Executable, Weight } from "@weft/runtime";
import * as assert from "uvu/assert";
import { randomBuffers, weightsOf } from "./compare.ts";
import { access, Body, loop, PlanBuilder, slot } from "./plan-builder.ts";
import { qkvPlan } from "./plans.ts";

export const shape = { hidden: 32, heads: 4, kvHeads: 2, headDim: 16, capacity: 50, chunk: 8 } as const;
export const plan = qkvPlan({ dtype: "f32", ...shape });
export const weights = weightsOf(plan, randomBuffers(plan, 1));

export async function rejection(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    assert.instance(error, Error);
    return (error as Error).message;
  }
  throw new Error("was not rejected");
}

/** Feeds tokens after `past` positions; the last output row. */
export async function feed(executable: Executable, past: number, tokens: number[]): Promise<number[]> {
  const { outputs } = await executable.run("step", {
    symbols: { past, seq: tokens.length },
    inputs: { tokens: Int32Array.from(tokens) },
  });
  return [...outputs.y!].slice(-shape.hidden);
}

/** A plan whose one program multiplies a large matrix for a while. */
export function slowPlan(size: number, repeats: number): Plan {
  const builder = new PlanBuilder("slow");
  const w = builder.buffer("w", "weights", "f32", [size, size]);
  const x = builder.buffer("x", "input", "f32", [64, size]);
  const y = builder.buffer("y", "output", "f32", [64, size]);
  const rows = [loop("row", 64)];
  const prologue = new Body();
  prologue.load(access(0, [size]), size);
  const epilogue = new Body();
  epilogue.store(access(2, [size]), epilogue.accumulator(0, size), size);
  const kernel = builder.kernel({
    kind: "matmul",
    name: "slow",
    slots: [slot("x", "f32", "read"), slot("w", "f32", "read"), slot("y", "f32", "write")],
    rows,
    contracted: size,
    inputDtype: "f32",
    orderedSums: false,
    prologue: prologue.program(rows, loop("k", size)),
    groups: [{ weights: [1], columns: size, epilogue: epilogue.program(rows, loop("n", size)) }],
  });
  builder.program(
    "main",
    Array.from({ length: repeats }, () => builder.step(kernel, x, w, y)),
  );
  return builder.plan;
}
export const slowSize = 1024;
export const slowWeights: Record<string, Weight> = {
  w: { kind: "data", data: new Float32Array(slowSize * slowSize), dtype: "f32", shape: [slowSize, slowSize] },
};
export const slowRun = { symbols: {}, inputs: { x: new Float32Array(64 * slowSize) } };
