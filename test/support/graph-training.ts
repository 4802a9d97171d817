/** Instructions of random graphs for the ops that training brings: losses, means, repeated axes, rows that are added up. */
import type { Axis } from "@weft/dsl";
import type { Instruction } from "./graph-instructions.ts";
import { type Entry, type GraphWriter, hasAxis, isF32, maxElements } from "./graph-writer.ts";
import { magnitude, within } from "./ranges.ts";

type Step = (writer: GraphWriter, choices: Instruction) => unknown;

/** Another order of the axes, repeated along one that the value lacks. */
export const broadcast: Step = (writer, { a, b, c }) => {
  const x = writer.pick(a, (one) => maxElements(one.type) <= 512);
  if (!x) return;
  const turn = b % Math.max(1, x.type.axes.length);
  const axes: Axis[] = [...x.type.axes.slice(turn), ...x.type.axes.slice(0, turn)];
  const added = [writer.sequence, { name: "hidden", size: writer.sizes.hidden }][c % 3];
  if (added !== undefined && !hasAxis(x, added.name)) axes.splice(b % (axes.length + 1), 0, added);
  writer.keep(writer.builder.add("broadcast", [x.id], { axes }), x);
};

/** A value behind another one that has nothing to do with it. */
export const after: Step = (writer, { a, b }) => {
  const [x, before] = [writer.pick(a, () => true), writer.pick(b, () => true)];
  if (x && before) writer.keep(writer.builder.add("after", [x.id, before.id], {}), x);
};

export const mean: Step = (writer, { a, b }) => {
  const x = writer.pick(a, (one) => isF32(one) && one.type.axes.length > 0);
  const axis = x?.type.axes[b % x.type.axes.length];
  if (x && axis) writer.keep(writer.builder.add("mean", [x.id], { axis: axis.name }), x);
};

/** Cross entropy over the values' last axis: per position, its gradient, or the mean. Some targets are masked. */
export const loss: Step = (writer, { a, b, c }) => {
  const { builder } = writer;
  const x = writer.pick(a, (one) => isF32(one) && one.type.axes.length > 1 && magnitude(one) <= 16);
  const [axis, along] = [x?.type.axes.at(-1), x?.type.axes.at(-2)];
  if (!x || !axis || !along) return;
  const positions = x.type.axes.slice(0, -1);
  const index = builder.add("iota", [], { axis: along });
  const shifted = builder.add("sub", [index, builder.constant(b % 2, "i32")], {});
  const inside = builder.add("min", [shifted, builder.constant(0, "i32")], {});
  const targets = builder.add("broadcast", [inside], { axes: positions });
  const range = { low: 0, high: 2 * magnitude(x) + 8 };
  const inputs = [x.id, targets];
  if (c % 3 === 0) writer.keep(builder.add("crossEntropy", inputs, { axis: axis.name }), range);
  else if (c % 3 === 1) {
    const over = positions.map((one) => one.name).slice(c % positions.length);
    writer.keep(builder.add("meanCrossEntropy", inputs, { axis: axis.name, over }), range);
  } else {
    const cotangent = builder.add("broadcast", [builder.constant(0.5)], { axes: positions });
    const id = builder.add("crossEntropyGradient", [...inputs, cotangent], { axis: axis.name });
    writer.keep(id, within(0.5));
  }
};

/** Of every second one the sums are added onto a value that lies in memory. */
export const scatter: Step = (writer, { a, b, c }) => {
  const indices = writer.pick(
    a,
    (one) => one.type.dtype === "i32" && one.low >= 0 && one.high <= 32 && one.type.axes.length > 0,
  );
  if (!indices) return;
  const names = indices.type.axes.map((one) => one.name);
  const updates = writer.pick(b, (one) => isF32(one) && names.every((name) => hasAxis(one, name)));
  if (!updates) return;
  const axis = { name: writer.freshName("rows"), size: indices.high + 1 };
  const range = within(maxElements(indices.type) * magnitude(updates));
  const sums = writer.keep(writer.builder.add("scatterAdd", [updates.id, indices.id], { axis }), range);
  if (!sums || c % 2 === 0) return;
  const onto = writer.builder.add("exp", [writer.builder.add("sin", [sums.id], {})], {});
  const negated = writer.builder.add("neg", [updates.id], {});
  const again = writer.builder.add("scatterAdd", [negated, indices.id], { axis });
  writer.keep(writer.builder.add("add", [again, onto], {}), { low: range.low, high: range.high + 3 });
};

/** The gradient of an attention whose cotangent is its own result, made small enough to stay in bounds. */
export function attentionGradient(
  writer: GraphWriter,
  given: { readonly inputs: readonly number[]; readonly result: number; readonly attributes: never },
  entries: readonly Entry[],
): void {
  const { builder } = writer;
  const { inputs, result, attributes } = given;
  const largest = Math.max(1, ...entries.map(magnitude));
  const count = maxElements(builder.type(inputs[0]!));
  const small = builder.constant(1 / (count * largest ** 3));
  const [q, k, v, index, ...starts] = inputs as readonly [number, number, number, number, ...number[]];
  const sum = builder.add("attendLogSumExp", [q, k, index, ...starts], attributes);
  const cotangent = builder.add("mul", [result, small], {});
  const packed = [q, k, v, index, result, sum, cotangent, ...starts];
  writer.keep(sum, within(count * largest ** 2));
  writer.keep(builder.add("attendGradient", packed, attributes), within(4));
}
