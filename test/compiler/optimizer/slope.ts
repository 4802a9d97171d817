/** A loss whose gradient is an input: the sum of a weight times a slope. For updates of moments in fewer bits. */

import {
  adamWHyperparameters,
  type Compiled,
  compile,
  grad,
  optimizer,
  optimizerStates,
  precision,
  type UpdateRule,
} from "@weft/compiler";
import { randomNumbers } from "@weft/compiler/testing";
import { GraphBuilder, orThrow, roundingStream } from "@weft/dsl";
import type { Executable, StateArray, Weight } from "@weft/runtime";
import * as assert from "uvu/assert";
import { devicesHere, openDevice } from "../../support/models.ts";

export interface Matrix {
  readonly rows: number;
  readonly depth: number;
}

export function compiledFor(rule: UpdateRule, { rows, depth }: Matrix): Compiled {
  const builder = new GraphBuilder();
  const axes = [
    { name: "row", size: rows },
    { name: "column", size: depth },
  ];
  const weight = builder.add("parameter", [], { name: "weight", dtype: "f32", axes });
  const flat = builder.add("input", [], {
    name: "slope",
    dtype: "f32",
    axes: [{ name: "slope", size: rows * depth }],
  });
  const slope = builder.add("splitAxis", [flat], { axis: "slope", into: axes });
  const product = builder.add("mul", [weight, slope], {});
  const perRow = builder.add("reduceSum", [product], { axis: "column" });
  // An axis of its own: a model's loss goes along other axes than its weights, too.
  const results = builder.add("rename", [perRow], { from: "row", to: "result" });
  const loss = builder.add("reduceSum", [results], { axis: "result" });
  const passes = [
    grad({ loss: "loss" }),
    precision({ policy: "f32", storage: () => "f32" }),
    optimizer({ loss: "loss", rule }),
  ];
  const graph = builder.finish("slope", [{ name: "loss", node: loss }]);
  return orThrow(compile([{ name: "train", graph, passes }], { name: "slope" }));
}

/** States of moments in fewer bits. */
export const names = {
  first: optimizerStates.firstMoment("weight"),
  firstScale: optimizerStates.firstScale("weight"),
  root: optimizerStates.secondRoot("weight"),
  rootScale: optimizerStates.secondScale("weight"),
};
export const stream = roundingStream(names.root);
export const streams: Readonly<Record<string, Weight>> = {
  [optimizerStates.stream(names.root)]: {
    kind: "data",
    data: Float32Array.of(stream),
    dtype: "f32",
    shape: [],
  },
};
export const seed = 12345;
export const constants = {
  learningRate: 0.01,
  betas: [0.9, 0.99],
  epsilon: 1e-8,
  weightDecay: 0.1,
} as const;

/** @param narrow whether the plan keeps moments in fewer bits */
export async function update(executable: Executable, slope: Float32Array, step: number, narrow = true) {
  const hyperparameters = adamWHyperparameters({
    ...constants,
    step,
    ...(narrow ? { rounding: { seed, step } } : {}),
  });
  return executable.run("train", { symbols: {}, inputs: { slope, hyperparameters } });
}

/** Rows of other magnitudes each, a row of zeros, and in each parts of others. */
export function slopes({ rows, depth }: Matrix, part: number): (step: number) => Float32Array {
  const next = randomNumbers(3);
  return (step) =>
    Float32Array.from({ length: rows * depth }, (_, at) => {
      const row = Math.floor(at / depth);
      const within = Math.floor((at % depth) / part);
      return row === 7 ? 0 : (next() - 0.5) * 10 ** ((row % 9) - 5 - 2 * within) * (1 + step);
    });
}

/** AdamW's formulas, each operation rounded to f32, on moments as they were kept. Changes the weight. */
export function adamWStep(
  weight: Float32Array,
  slope: Float32Array,
  first: Float32Array,
  root: Float32Array,
  step: number,
): { readonly moment: Float32Array; readonly square: Float32Array } {
  const round = Math.fround;
  const [, kept, stepSize, firstWeight, secondKept, secondWeight, correction, epsilon] = adamWHyperparameters(
    { ...constants, step },
  );
  const [moment, square] = [new Float32Array(weight.length), new Float32Array(weight.length)];
  for (let at = 0; at < weight.length; at++) {
    const gradient = slope[at]!;
    moment[at] = first[at]! + round(round(gradient - first[at]!) * firstWeight!);
    const old = round(root[at]! * root[at]!);
    square[at] = round(old * secondKept!) + round(round(gradient * gradient) * secondWeight!);
    const divisor = round(round(round(Math.sqrt(square[at]!)) / correction!) + epsilon!);
    const move = round(round(moment[at]! / divisor) * stepSize!);
    weight[at] = round(weight[at]! * kept!) - move;
  }
  return { moment, square };
}

/**
 * Some updates on each device that is here: the bits of the CPU, but on a GPU, where additions take in their products and
 * what lies at a boundary may fall on its other side.
 * @param prepare called behind the weight's values
 */
export async function expectSameBits(
  plan: Compiled["plan"],
  weight: Float32Array,
  given: readonly Float32Array[],
  prepare: (executable: Executable, where: string) => Promise<void> = async () => {},
): Promise<void> {
  const states = ["weight", ...Object.values(names)];
  const runs = new Map<string, readonly StateArray[]>();
  for (const where of await devicesHere()) {
    using device = await openDevice(where);
    using executable = await device.load(plan, streams);
    await executable.writeState("weight", weight);
    await prepare(executable, where);
    for (const [at, slope] of given.entries()) await update(executable, slope, at + 1);
    const read: StateArray[] = [];
    for (const name of states) read.push(await executable.readState(name));
    runs.set(where, read);
  }
  const expected = runs.get("cpu")!;
  for (const [where, read] of runs) {
    if (where !== "cuda") {
      for (const [index, values] of read.entries())
        assert.equal(values, expected[index], `${states[index]} on ${where}`);
      continue;
    }
    const off = Math.max(...Array.from(read[0]!, (value, at) => Math.abs(value - expected[0]![at]!)));
    assert.ok(off < 3 * constants.learningRate, `weights differ by ${off}`);
  }
}
