/** What a random graph does to states: reads, writes and appends, several of them on one state. */
import {
  type Axis,
  type GraphNode,
  maxSize,
  type NodeId,
  type StateSpec,
  type TensorType,
  typeEquals,
} from "@weft/dsl";
import { type Entry, type GraphWriter, indexRange, inputRange } from "./graph-writer.ts";
import { type Range, within } from "./ranges.ts";

/** A state that a random graph has declared. */
export interface RandomState extends StateSpec {
  /** Bounds of what may be written; zero, which states begin with, is within. */
  readonly range: Range;
  /** How rows are appended; undefined: the state is replaced as a whole. */
  readonly rows?: {
    /** Of the values that are appended, with the axis that becomes `into`. */
    readonly type: TensorType;
    readonly axis: string;
    readonly into: string;
    /** The axes of what an append gives. */
    readonly valid: readonly Axis[];
  };
}

interface Choices {
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

/** The largest number of rows that a state holds before an append. */
const mostPast = 6;

function rangeOf({ dtype }: TensorType): Range {
  if (dtype === "i32") return indexRange;
  return dtype === "bool" ? { low: 0, high: 1 } : inputRange;
}

function fitsState(entry: Entry): boolean {
  const { low, high } = rangeOf(entry.type);
  return entry.type.dtype !== "i32" || (entry.low >= low && entry.high <= high);
}

/** tanh(x) where x itself might leave the state's bounds. */
function bounded({ builder }: GraphWriter, x: Entry, { low, high }: Range): NodeId {
  const fits = x.low >= low && x.high <= high;
  return fits || x.type.dtype !== "f32" ? x.id : builder.add("tanh", [x.id], {});
}

function declare(writer: GraphWriter, state: RandomState): RandomState {
  writer.builder.declareState({ name: state.name, type: state.type });
  writer.states.push(state);
  return state;
}

function freshState(writer: GraphWriter): string {
  return writer.spell(writer.freshName("state"));
}

/** Reads a state, or what a new one of some value's type begins with. */
export function stateRead(writer: GraphWriter, { a, b, c }: Choices): void {
  let state = c % 4 === 0 ? undefined : writer.states.at(-1 - (b % Math.max(1, writer.states.length)));
  if (state === undefined) {
    const like = writer.pick(a, fitsState);
    if (like === undefined) return;
    state = declare(writer, { name: freshState(writer), type: like.type, range: rangeOf(like.type) });
  }
  const { name, type, range } = state;
  writer.keep(writer.builder.add("stateRead", [], { state: name, ...type }), range);
}

/** Replaces a state by a value of its type. */
export function stateWrite(writer: GraphWriter, { a, b, c }: Choices): void {
  const writable = writer.states.filter(({ type }) =>
    writer.entries.some((one) => fitsState(one) && typeEquals(one.type, type)),
  );
  let state = c % 4 === 0 ? undefined : writable.at(-1 - (b % Math.max(1, writable.length)));
  const x = writer.pick(
    a,
    (one) => fitsState(one) && (state === undefined || typeEquals(one.type, state.type)),
  );
  if (x === undefined) return;
  state ??= declare(writer, { name: freshState(writer), type: x.type, range: rangeOf(x.type) });
  const written = writer.builder.add("stateWrite", [bounded(writer, x, state.range)], { state: state.name });
  writer.keep(written, state.range);
}

/** Replaces a state, and goes on with what it held: a function of it meets some other value behind the write. */
export function stateUpdate(writer: GraphWriter, { a, b, c }: Choices): void {
  const { builder } = writer;
  const x = writer.pick(a, (one) => one.type.dtype === "f32");
  if (x === undefined) return;
  const known = writer.states.find((one) => one.rows === undefined && typeEquals(one.type, x.type));
  const { name, range } =
    known ?? declare(writer, { name: freshState(writer), type: x.type, range: rangeOf(x.type) });
  const old = builder.add("tanh", [builder.add("stateRead", [], { state: name, ...x.type })], {});
  const written = builder.add("stateWrite", [bounded(writer, x, range)], { state: name });
  if (c % 2 === 0) writer.keep(written, range);
  const other = writer.pick(b, (one) => typeEquals(one.type, x.type)) ?? x;
  // Twice through tanh: kernels of their own rather than operands that are read from memory.
  const sum = builder.add("add", [builder.add("tanh", [other.id], {}), old], {});
  writer.keep(sum, within(2));
  writer.keep(old, within(1));
}

/** Writes rows into a state behind `past` others; the state's axes may stand in another order than the rows'. */
export function stateAppend(writer: GraphWriter, { a, b, c }: Choices): void {
  const growing = writer.states.filter((one) => one.rows !== undefined);
  let state = c % 3 === 0 ? undefined : growing.at(-1 - (b % Math.max(1, growing.length)));
  const fits = (one: Entry) =>
    fitsState(one) &&
    one.type.axes.length > 0 &&
    // Rounded to bf16, a value that is not the same number everywhere may differ by far more than the tolerance.
    (state?.type.dtype !== "bf16" || one.leaf) &&
    (state?.rows === undefined || typeEquals(one.type, state.rows.type));
  const x = writer.pick(a, fits);
  if (x === undefined) return;
  state ??= declare(writer, growingState(writer, x, b, c));
  const { axis, into, valid } = state.rows!;
  const appended = writer.builder.add("stateAppend", [bounded(writer, x, state.range)], {
    state: state.name,
    axis,
    into,
    past: "past",
    axes: valid,
    dtype: state.type.dtype,
  });
  writer.keep(appended, state.range);
}

function growingState(writer: GraphWriter, x: Entry, b: number, c: number): RandomState {
  const axis = x.type.axes[b % x.type.axes.length]!;
  const into = writer.freshName("keys");
  const rows = maxSize(axis.size);
  writer.builder.declareSymbol({ name: "past", max: mostPast });
  const others = x.type.axes.filter((one) => one !== axis);
  const place = c % (others.length + 1);
  const withInto = (size: Axis["size"]): Axis[] => [
    ...others.slice(0, place),
    { name: into, size },
    ...others.slice(place),
  ];
  const dtype = x.type.dtype === "f32" && x.leaf && b % 2 === 1 ? "bf16" : x.type.dtype;
  let [capacity, valid]: [number, Axis["size"]] = [mostPast + rows, mostPast + rows];
  if (typeof axis.size !== "number") {
    // As a cache: no larger than what past and new rows together may take.
    capacity = Math.max(mostPast, rows) + 1;
    writer.builder.declareSymbol({ name: into, max: capacity, sum: ["past", axis.size.symbol] });
    valid = { symbol: into, max: capacity };
  } else if (b % 3 === 0) valid = 1 + (c % capacity);
  return {
    name: freshState(writer),
    type: { dtype, axes: withInto(capacity) },
    range: rangeOf(x.type),
    rows: { type: x.type, axis: axis.name, into, valid: withInto(valid) },
  };
}

const views: ReadonlySet<string> = new Set([
  "rename",
  "splitAxis",
  "mergeAxes",
  "slice",
  "last",
  "concat",
  "cast",
]);

/** The node itself, or its negative where it shows a state that is written again later: no plan can give that out. */
export function outputOf({ builder }: GraphWriter, nodes: readonly GraphNode[], id: NodeId): NodeId {
  let source = nodes[id]!;
  while (views.has(source.op)) source = nodes[source.inputs[0]!]!;
  const stateOf = (node: GraphNode) => (node.attributes as { readonly state?: string }).state;
  const state = stateOf(source);
  if (state === undefined) return id;
  const isOverwritten = nodes.some(
    (one) => one.id > source.id && one.op !== "stateRead" && stateOf(one) === state,
  );
  if (!isOverwritten) return id;
  const float = builder.type(id).dtype === "f32" ? id : builder.add("cast", [id], { dtype: "f32" });
  return builder.add("neg", [float], {});
}
