/** What an instruction of a random graph does: one function per kind. */
import {
  type Axis,
  type BinaryFunction,
  binaryFunctions,
  isComparison,
  maxSize,
  type NodeId,
  type ScalarExpression,
  unaryFunctions,
} from "@weft/dsl";
import { stateAppend, stateRead, stateUpdate, stateWrite } from "./graph-states.ts";
import { after, attentionGradient, broadcast, loss, mean, scatter } from "./graph-training.ts";
import {
  type Entry,
  fixedLastAxis,
  type GraphWriter,
  hasAxis,
  isF32,
  isFloatEntry,
  maxElements,
} from "./graph-writer.ts";
import { binaryRange, magnitude, type Range, unaryRange, union, within } from "./ranges.ts";

export interface Instruction {
  readonly kind: InstructionKind;
  /** Choices of operands and variants: any non-negative integers. */
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

type Step = (writer: GraphWriter, choices: Instruction) => unknown;

const constants = [0, 1, -1, 0.5, 2, -0.75, 3];
const comparisons = binaryFunctions.filter(isComparison);
const arithmetic = binaryFunctions.filter((name) => !isComparison(name));

const unary: Step = (writer, { a, b }) => {
  const name = unaryFunctions[b % unaryFunctions.length]!;
  const x = writer.pick(a, (one) => isF32(one) && (name !== "floor" || one.leaf));
  const fitting = x && unaryRange(name, x) === undefined ? tamed(writer, x) : x;
  const range = fitting && unaryRange(name, fitting);
  if (fitting && range) writer.keep(writer.builder.add(name, [fitting.id], {}), range);
};

/** sigmoid(x) + 1/2: a value between 1/2 and 3/2 for functions that ask for one. */
function tamed({ builder }: GraphWriter, x: Entry): Entry {
  const half = builder.constant(0.5);
  const id = builder.add("add", [builder.add("sigmoid", [x.id], {}), half], {});
  return { id, type: builder.type(id), low: 0.5, high: 1.5, leaf: false };
}

const binary: Step = (writer, { a, b, c }) => {
  const name = arithmetic[c % arithmetic.length]!;
  let x = writer.pick(a, isF32);
  let y = writer.pick(b, isF32);
  if (!x || !y) return;
  if (name === "pow" && binaryRange(name, x, y) === undefined) x = tamed(writer, x);
  if (name === "div" && binaryRange(name, x, y) === undefined) y = tamed(writer, y);
  const range = binaryRange(name, x, y);
  if (range && joinedElements(x, y) <= 4096) writer.keep(writer.builder.add(name, [x.id, y.id], {}), range);
};

const constant: Step = (writer, { a }) => {
  const value = constants[a % constants.length]!;
  writer.keep(writer.builder.constant(value), { low: value, high: value });
};

/** Integers are compared exactly; of floats only inputs, with a number that none of them is. */
const compare: Step = (writer, { a, b, c }) => {
  const name = comparisons[c % comparisons.length] as BinaryFunction;
  const x = writer.pick(a, (one) => one.type.dtype === "i32" || (isF32(one) && one.leaf));
  if (x === undefined) return;
  const y = x.type.dtype === "i32" ? writer.pick(b, (one) => one.type.dtype === "i32") : undefined;
  const other = y?.id ?? writer.builder.constant(0.1234567, "f32");
  writer.keep(writer.builder.add(name, [x.id, other], {}), { low: 0, high: 1 });
};

const select: Step = (writer, { a, b, c }) => {
  const condition = writer.pick(a, (one) => one.type.dtype === "bool");
  const x = writer.pick(b, isF32);
  const y = writer.pick(c, isF32);
  if (!condition || !x || !y || joinedElements(x, y) > 4096) return;
  writer.keep(writer.builder.add("select", [condition.id, x.id, y.id], {}), union(x, y));
};

/** Of inputs only: a value that differs in its last bit from another route's may be rounded the other way. */
function stochasticRound(writer: GraphWriter, { a, b }: Instruction): void {
  const isRounded = ({ leaf, ...one }: Entry) =>
    leaf && isF32({ leaf, ...one }) && one.type.axes.slice(1).every(({ size }) => typeof size === "number");
  const x = writer.pick(a, isRounded);
  if (!x) return;
  const { builder } = writer;
  const scalars = [b, 3 * b + 1, b % 7].map((value) => builder.constant(value));
  writer.keep(builder.add("stochasticRound", [x.id, ...scalars], {}), within(1.01 * magnitude(x)));
}

const cast: Step = (writer, choices) => {
  const { a, c } = choices;
  if (c % 4 === 3) return stochasticRound(writer, choices);
  const x = writer.pick(a, (one) => !isF32(one));
  if (x) writer.keep(writer.builder.add("cast", [x.id], { dtype: "f32" }), x);
};

/** Indices: places along an axis, positions, the length of the sequence, and simple sums of these. */
const index: Step = (writer, { a, b, c }) => {
  const { builder } = writer;
  const bound = { low: 0, high: writer.sizes.sequence };
  if (c % 4 === 0) writer.keep(builder.add("position", [], { axis: writer.sequence }), bound);
  else if (c % 4 === 1) writer.keep(builder.add("symbol", [], { name: "seq" }), bound);
  else if (c % 4 === 2) {
    const axis = writer.pick(a)?.type.axes.at(-1);
    if (axis) {
      writer.keep(builder.add("iota", [], { axis }), { low: 0, high: maxSize(axis.size) - 1 });
    }
  } else {
    const x = writer.pick(a, (one) => one.type.dtype === "i32");
    if (!x) return;
    const shift = b % 3;
    const moved = builder.add("add", [x.id, builder.constant(shift, "i32")], {});
    writer.keep(moved, { low: x.low + shift, high: x.high + shift });
  }
};

const reduce: Step = (writer, { a, b, c }) => {
  const x = writer.pick(a, (one) => isF32(one) && one.type.axes.length > 0);
  const axis = x?.type.axes[b % x.type.axes.length];
  if (!x || !axis) return;
  const name = c % 2 === 0 ? "reduceSum" : "reduceMax";
  const range = c % 2 === 0 ? union(scaled(x, 1), scaled(x, maxSize(axis.size))) : x;
  if (magnitude(range) <= 64) writer.keep(writer.builder.add(name, [x.id], { axis: axis.name }), range);
};

/** Of inputs only: what is nearly equal would come in another order from another route. */
const topK: Step = (writer, { a, b, c }) => {
  const x = writer.pick(a, (one) => isFloatEntry(one) && one.leaf && one.type.axes.length > 0);
  const axis = x?.type.axes[b % x.type.axes.length];
  if (!x || typeof axis?.size !== "number" || hasAxis(x, "valueAndIndex")) return;
  const count = 1 + (c % Math.min(axis.size, 32));
  const attributes = { axis: axis.name, into: writer.freshName("kept"), count };
  writer.keep(writer.builder.add("topK", [x.id], attributes), union(x, { low: 0, high: axis.size }));
};

const dot: Step = (writer, { a, b, c }) => {
  const x = writer.pick(a, isFloatEntry);
  const y = writer.pick(b, (one) => isFloatEntry(one) && x !== undefined && sharedAxes(x, one).length > 0);
  if (!x || !y) return;
  const shared = sharedAxes(x, y);
  const contract = c % 2 === 0 ? [shared[c % shared.length]!] : shared;
  const length = contract.reduce((count, one) => count * maxSize(one.size), 1);
  const range = within(length * magnitude(x) * magnitude(y));
  if (magnitude(range) > 64 || joinedElements(x, y) > 4096) return;
  writer.keep(writer.builder.add("dot", [x.id, y.id], { contract: contract.map((one) => one.name) }), range);
};

const gather: Step = (writer, { a, b, c }) => {
  const indices = writer.pick(a, (one) => one.type.dtype === "i32" && one.low >= 0 && one.high <= 32);
  if (!indices) return;
  const rows: Axis = { name: writer.freshName("rows"), size: indices.high + 1 + (b % 3) };
  const columns = { name: "hidden", size: writer.sizes.hidden };
  const table = writer.parameter("weight", [rows, columns], c % 3 === 0 ? "bf16" : "f32");
  const id =
    c % 2 === 0
      ? writer.builder.add("gather", [table.id, indices.id], { axis: rows.name })
      : writer.builder.add("embedding", [indices.id, table.id], { axis: rows.name });
  writer.keep(id, table);
};

const move: Step = (writer, { a, b, c }) => {
  const { builder } = writer;
  const x = writer.pick(a, (one) => one.type.axes.length > 0);
  const axis = x?.type.axes[b % x.type.axes.length];
  if (!x || !axis) return;
  const add = (): number | undefined => {
    switch (c % 6) {
      case 0:
        return builder.add("rename", [x.id], { from: axis.name, to: writer.freshName("renamed") });
      case 1: {
        if (typeof axis.size !== "number") return undefined;
        const part = [4, 3, 2, 1].find((divisor) => (axis.size as number) % divisor === 0)!;
        const names = [writer.freshName("outer"), writer.freshName("inner")] as const;
        const into = [
          { name: names[0], size: axis.size / part },
          { name: names[1], size: part },
        ];
        return builder.add("splitAxis", [x.id], { axis: axis.name, into });
      }
      case 2: {
        const at = x.type.axes.findIndex(
          (one, i) => typeof one.size === "number" && typeof x.type.axes[i + 1]?.size === "number",
        );
        if (at < 0) return undefined;
        const axes = x.type.axes.slice(at, at + 2).map((one) => one.name);
        return builder.add("mergeAxes", [x.id], { axes, into: writer.freshName("merged") });
      }
      case 3: {
        if (typeof axis.size !== "number") return undefined;
        const start = b % axis.size;
        const size = 1 + (a % (axis.size - start));
        return builder.add("slice", [x.id], { axis: axis.name, start, size });
      }
      case 4: {
        if (typeof axis.size !== "number" || maxElements(x.type) > 512) return undefined;
        const last = builder.add("last", [x.id], { axis: axis.name });
        return builder.add("concat", [x.id, last, x.id], { axis: axis.name });
      }
      default:
        return builder.add("last", [x.id], { axis: axis.name });
    }
  };
  const id = add();
  if (id !== undefined) writer.keep(id, x);
};

const rmsNorm: Step = (writer, { a, b }) => normed(writer, writer.pick(a, isNormable), b);

const softmax: Step = (writer, { a, b, c }) => {
  const { builder } = writer;
  const x = writer.pick(a, (one) => isF32(one) && one.type.axes.length > 0);
  const axis = x?.type.axes[b % x.type.axes.length];
  if (!x || !axis) return;
  let input = x.id;
  if (c % 2 === 1) {
    // The first element always stays, so that no row is empty.
    const place = builder.add("iota", [], { axis });
    const visible = builder.add("lessEqual", [place, builder.constant(c % 4, "i32")], {});
    input = builder.add("select", [visible, x.id, builder.constant(Number.NEGATIVE_INFINITY)], {});
  }
  writer.keep(builder.add("softmax", [input], { axis: axis.name }), { low: 0, high: 1 });
};

const silu: Step = (writer, { a }) => {
  const x = writer.pick(a, isF32);
  if (x) writer.keep(writer.builder.add("silu", [x.id], {}), { low: -0.3, high: Math.max(0, x.high) });
};

const linear: Step = (writer, { a, b, c }) => {
  const to =
    b % 3 === 0
      ? [{ name: "wide", size: writer.sizes.wide }]
      : b % 3 === 1
        ? [{ name: "hidden", size: writer.sizes.hidden }]
        : headAxes(writer).slice(0, 2);
  projected(
    writer,
    writer.pick(a, (one) => isF32(one) && fixedLastAxis(one) !== undefined),
    to,
    c,
  );
};

/** Products, and rows looked up, of a matrix in NVFP4; the other side in NVFP4 too, where it is a leaf, as values of other
 * routes may be rounded the other way. */
const blocks: Step = (writer, { a, b, c }) => {
  const { builder } = writer;
  const row: Axis = { name: "blocks", size: b % 2 === 0 ? 16 : 48 };
  if (c % 3 === 0) {
    const indices = writer.pick(a, (one) => one.type.dtype === "i32" && one.low >= 0 && one.high <= 32);
    if (!indices) return;
    const rows: Axis = { name: writer.freshName("rows"), size: indices.high + 1 + (b % 3) };
    const table = writer.parameter("weight", [rows, row], "nvfp4");
    writer.keep(builder.add("embedding", [indices.id, table.id], { axis: rows.name }), table);
    return;
  }
  const to = { name: "wide", size: writer.sizes.wide };
  const matrix = writer.parameter("weight", [to, row], "nvfp4");
  const read = (id: NodeId, range: Range) =>
    writer.keep(builder.add("linear", [id, matrix.id], { from: ["blocks"], to: ["wide"] }), range);
  if (c % 3 === 1) {
    const lead = { name: writer.freshName("lead"), size: 1 + (a % 5) };
    const x = writer.parameter("weight", [lead, row]);
    const attributes = { fourOverSix: b % 4 === 0, nonZero: b % 8 === 1 };
    const quantized = builder.add("quantizeNvfp4", [x.id, builder.constant(1 + (a % 3))], attributes);
    read(builder.add("cast", [quantized], { dtype: "f32" }), within(0.4 * 1.5 * 3 * 48 * 0.4));
    return;
  }
  const x = projected(
    writer,
    writer.pick(a, (one) => isF32(one) && fixedLastAxis(one) !== undefined && !hasAxis(one, "wide")),
    [row],
    b,
  );
  if (x) read(x.id, within(48 * 0.4 * magnitude(x)));
};

const rope: Step = (writer, { a, b }) => {
  const x = writer.pick(
    a,
    (one) => isF32(one) && hasAxis(one, "seq") && Number(fixedLastAxis(one)?.size ?? 1) % 2 === 0,
  );
  if (!x) return;
  const position = writer.builder.add("position", [], { axis: writer.sequence });
  const theta = b % 2 === 0 ? 10000 : 100;
  const id = writer.builder.add("rope", [x.id, position], {
    axis: fixedLastAxis(x)!.name,
    theta,
    sequence: "seq",
  });
  writer.keep(id, within(magnitude(x) * Math.SQRT2));
};

/** A residual attention block, as models have it. */
const attention: Step = (writer, { a, b, c }) => {
  const { builder } = writer;
  const x = writer.pick(a, (one) => isNormable(one) && hasAxis(one, "seq"));
  const norm = x && normed(writer, x, b);
  if (!x || !norm) return;
  const [kvHeads, headDim, heads] = headAxes(writer);
  const q = projected(writer, norm, [heads!, headDim!], b);
  const k = projected(writer, norm, [kvHeads!, headDim!], b + 1);
  const v = projected(writer, norm, [kvHeads!, headDim!], c);
  if (!q || !k || !v) return;
  const position = builder.add("position", [], { axis: writer.sequence });
  const turned = (entry: Entry) =>
    builder.add("rope", [entry.id, position], { axis: "headDim", theta: 10000, sequence: "seq" });
  const attributes = {
    heads: "heads",
    kvHeads: "kvHeads",
    headDim: "headDim",
    causal: c % 4 !== 0,
    scale: 0.5,
    sequence: "seq",
  };
  const inputs = [turned(q), turned(k), v.id, position];
  // Two documents: the first one has one token.
  if (c % 8 === 1) inputs.push(builder.add("min", [position, builder.constant(1, "i32")], {}));
  const attended = builder.add("attend", inputs, attributes);
  const mixed = writer.keep(attended, v);
  if (b % 4 === 1)
    attentionGradient(writer, { inputs, result: attended, attributes: attributes as never }, [q, k, v]);
  const last = fixedLastAxis(x)!;
  const range = within(maxSize(heads!.size) * maxSize(headDim!.size) * 0.4 * magnitude(v));
  if (!mixed || hasAxis(mixed, last.name)) return;
  const weight = writer.parameter("weight", [last, heads!, headDim!]);
  const back = builder.add("linear", [attended, weight.id], { from: ["heads", "headDim"], to: [last.name] });
  const out = writer.keep(back, range);
  const sum = out && binaryRange("add", out, x);
  if (out && sum) writer.keep(builder.add("add", [x.id, out.id], {}), sum);
};

const pointwise: Step = (writer, { a, b, c }) => {
  const x = writer.pick(a, isFloatEntry);
  const y = writer.pick(b, isFloatEntry);
  if (!x || !y || joinedElements(x, y) > 4096) return;
  const left: ScalarExpression = { tag: "unary", function: "tanh", operand: { tag: "argument", index: 0 } };
  const right: ScalarExpression = { tag: "argument", index: c % 3 === 0 ? 0 : 1 };
  const expression: ScalarExpression = {
    tag: "binary",
    function: c % 2 === 0 ? "mul" : "max",
    left,
    right: { tag: "binary", function: "add", left: right, right: { tag: "constant", value: 0.25 } },
  };
  const range = within(magnitude(union(x, y)) + 1.25);
  const id = writer.builder.add("pointwise", [x.id, y.id], { name: "mix", expression });
  writer.keep(id, range);
};

export const steps = {
  unary,
  binary,
  constant,
  compare,
  select,
  cast,
  index,
  reduce,
  topK,
  dot,
  gather,
  move,
  rmsNorm,
  softmax,
  silu,
  linear,
  rope,
  attention,
  pointwise,
  stateRead,
  stateWrite,
  stateUpdate,
  stateAppend,
  broadcast,
  after,
  mean,
  loss,
  scatter,
  blocks,
} satisfies Record<string, Step>;

export type InstructionKind = keyof typeof steps;

/** But `blocks`, for which a test asks. */
export const everyKind = Object.keys(steps).filter((kind) => kind !== "blocks") as readonly InstructionKind[];

/** Products and tables in NVFP4, and what may stand around them. */
export const kindsWithBlocks: readonly InstructionKind[] = [
  "blocks",
  "binary",
  "silu",
  "reduce",
  "move",
  "dot",
  "gather",
  "linear",
  "rmsNorm",
  "index",
];

function isNormable(entry: Entry): boolean {
  return isF32(entry) && fixedLastAxis(entry) !== undefined;
}

function normed(writer: GraphWriter, x: Entry | undefined, variant: number): Entry | undefined {
  const axis = x && fixedLastAxis(x);
  if (!x || !axis) return undefined;
  const weight = writer.parameter("scale", [axis], variant % 3 === 0 ? "bf16" : "f32");
  const epsilon = variant % 2 === 0 ? 1e-2 : 1e-3;
  const id = writer.builder.add("rmsNorm", [x.id, weight.id], { axis: axis.name, epsilon });
  return writer.keep(
    id,
    within(1.5 * Math.min(Math.sqrt(maxSize(axis.size)), magnitude(x) / Math.sqrt(epsilon))),
  );
}

function projected(
  writer: GraphWriter,
  x: Entry | undefined,
  to: readonly Axis[],
  variant: number,
): Entry | undefined {
  const from = x && fixedLastAxis(x);
  if (!x || !from) return undefined;
  const names = to.map((one) => one.name);
  if (x.type.axes.some((one) => one.name !== from.name && names.includes(one.name))) return undefined;
  const bound = 0.4 * maxSize(from.size) * magnitude(x) + 0.4;
  if (bound > 64) return undefined;
  const column = { name: names.includes(from.name) ? `${from.name}'` : from.name, size: from.size };
  const weight = writer.parameter("weight", [...to, column], variant % 3 === 0 ? "bf16" : "f32");
  const inputs = [x.id, weight.id];
  if (variant % 4 === 1) inputs.push(writer.parameter("weight", to).id);
  return writer.keep(writer.builder.add("linear", inputs, { from: [from.name], to: names }), within(bound));
}

/** kvHeads, headDim and heads. */
function headAxes({ sizes }: GraphWriter): readonly Axis[] {
  return [
    { name: "kvHeads", size: sizes.kvHeads },
    { name: "headDim", size: 2 * sizes.half },
    { name: "heads", size: sizes.kvHeads * sizes.group },
  ];
}

function sharedAxes(x: Entry, y: Entry): readonly Axis[] {
  return x.type.axes.filter((one) => hasAxis(y, one.name));
}

function joinedElements(x: Entry, y: Entry): number {
  const added = y.type.axes.filter((one) => !hasAxis(x, one.name));
  return added.reduce((count, one) => count * maxSize(one.size), maxElements(x.type));
}

function scaled({ low, high }: Range, factor: number): Range {
  return { low: low * factor, high: high * factor };
}
