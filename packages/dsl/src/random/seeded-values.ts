/** Values that are the same for the same seed. */
import { maxSize } from "../axis.ts";
import { elementCount, roundTo, type TensorArray } from "../graph/tensor-array.ts";
import type { Graph, NodeId, TensorType } from "../graph/types.ts";
import { sizeFor } from "../ops/shape.ts";

/** What a graph is run at. */
export interface GraphValues {
  readonly symbols: ReadonlyMap<string, number>;
  readonly inputs: ReadonlyMap<string, TensorArray>;
  readonly weights: ReadonlyMap<string, TensorArray>;
  /** `weights.get`, as the interpreter wants it. */
  readonly parameters: (name: string) => TensorArray | undefined;
}

/** The smallest and the largest value. Both may occur where values are integers. */
export interface ValueRange {
  readonly low: number;
  readonly high: number;
}

export interface SeededValuesOptions {
  /** Symbols that are not drawn: their values. */
  readonly symbols?: Readonly<Record<string, number>>;
  /** Symbols are drawn from 1 to their bound, but to no more than this: what is checked is interpreted. Default: 8. */
  readonly longest?: number;
  /**
   * The range of an input's or a parameter's values; undefined for the default: -1 to 1, of
   * matrices divided by the root of their last axis; integers are rows of what they index.
   */
  readonly range?: (name: string) => ValueRange | undefined;
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Symbols from 1 to their bound, but `past` from 0, and no larger than the sums that it is part of allow. */
export function randomSymbols(
  { symbols }: Pick<Graph, "symbols">,
  next: () => number,
  given: Readonly<Record<string, number>> = {},
): Map<string, number> {
  const values = new Map<string, number>();
  const valueOfSymbol = (name: string): number => {
    const sum = symbols.find((one) => one.name === name)?.sum;
    return sum?.reduce((total, part) => total + valueOfSymbol(part), 0) ?? values.get(name) ?? 0;
  };
  for (const { name, max, sum } of symbols) {
    if (sum === undefined)
      values.set(name, given[name] ?? (name === "past" ? 0 : 1 + Math.floor(next() * max)));
  }
  const past = given.past === undefined ? symbols.find((one) => one.name === "past") : undefined;
  const fits = () => symbols.every(({ name, max }) => valueOfSymbol(name) <= max);
  for (let most = past?.max ?? 0; most > 0; most--) {
    values.set("past", most);
    if (!fits()) continue;
    values.set("past", Math.floor(next() * (most + 1)));
    break;
  }
  if (past !== undefined && !fits()) values.set("past", 0);
  for (const { name } of symbols) values.set(name, valueOfSymbol(name));
  return values;
}

/** A tensor of this type: integers of the range, or floats of it that f32 holds exactly, rounded as they are stored. */
export function randomTensor(
  { dtype, axes }: TensorType,
  { low, high }: ValueRange,
  symbols: ReadonlyMap<string, number>,
  next: () => number,
): TensorArray {
  const sized = axes.map(({ name, size }) => ({ name, size: sizeFor(size, symbols) }));
  const data = Float64Array.from({ length: elementCount(sized) }, () =>
    dtype === "i32"
      ? low + Math.floor(next() * (high - low + 1))
      : roundTo(dtype, Math.fround(low + next() * (high - low))),
  );
  return { dtype, axes: sized, data };
}

/**
 * Values for any graph. What an input or a parameter holds depends on the seed, its name and its type only: graphs that
 * are put together in other ways get the same. Integers that index rows are below their number.
 * @example const outputs = interpret(graph, seededValues(graph, 1));
 */
export function seededValues(graph: Graph, seed: number, options: SeededValuesOptions = {}): GraphValues {
  const { longest = 8 } = options;
  const bounded = graph.symbols.map((one) =>
    one.sum === undefined ? { ...one, max: Math.min(one.max, longest) } : one,
  );
  const symbols = randomSymbols({ symbols: bounded }, randomNumbers(seed), options.symbols);
  const inputs = new Map<string, TensorArray>();
  const weights = new Map<string, TensorArray>();
  for (const { id, op, attributes } of graph.nodes) {
    if (op !== "input" && op !== "parameter") continue;
    const name = attributes.name as string;
    const tensor = seededTensor(graph, id, seed, symbols, options.range?.(name));
    (op === "input" ? inputs : weights).set(name, tensor);
  }
  return { symbols, inputs, weights, parameters: (name) => weights.get(name) };
}

/**
 * What `seededValues` gives an input or a parameter, by itself: of a large graph, one after the other.
 * @param id its node
 */
export function seededTensor(
  graph: Graph,
  id: NodeId,
  seed: number,
  symbols: ReadonlyMap<string, number>,
  range: ValueRange = defaultRange(graph, id),
): TensorArray {
  const { type, attributes } = graph.nodes[id]!;
  return randomTensor(type, range, symbols, randomNumbers(seed ^ hash(attributes.name as string)));
}

/** Weights of products keep sums near 1, as those of a model do: else rounding alone tells two devices apart. */
function defaultRange(graph: Graph, id: NodeId): ValueRange {
  const { op, type } = graph.nodes[id]!;
  if (type.dtype === "i32") return indexRange(graph, id);
  const contracted = op === "parameter" && type.axes.length > 1 ? maxSize(type.axes.at(-1)!.size) : 1;
  return { low: -1 / Math.sqrt(contracted), high: 1 / Math.sqrt(contracted) };
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value;
}

/** Ops that look rows up: which input holds the indices, and which one has the axis that they run along. */
const lookups: Readonly<Record<string, readonly [number, number]>> = {
  embedding: [0, 1],
  gather: [1, 0],
  crossEntropy: [1, 0],
  meanCrossEntropy: [1, 0],
};

/** 0 to the last row of the smallest table that a value indexes; 0 to 6 where it indexes none. */
function indexRange(graph: Graph, id: NodeId): ValueRange {
  let rows = Number.POSITIVE_INFINITY;
  for (const { op, inputs, attributes } of graph.nodes) {
    const [indices, table] = lookups[op] ?? [];
    if (indices === undefined || table === undefined || inputs[indices] !== id) continue;
    const along = graph.nodes[inputs[table]!]!.type.axes.find(({ name }) => name === attributes.axis);
    if (along !== undefined) rows = Math.min(rows, maxSize(along.size));
  }
  return { low: 0, high: Number.isFinite(rows) ? rows - 1 : 6 };
}
