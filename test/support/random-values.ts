/** Repeatable values for the inputs and parameters of a graph. */
import { type Axis, elementCount, type Graph, roundTo, sizeFor, type TensorArray } from "@weft/dsl";
import { indexRange, inputRange, parameterRange } from "./graph-writer.ts";
import { nearestNvfp4 } from "./nvfp4-values.ts";

export interface GraphValues {
  readonly symbols: ReadonlyMap<string, number>;
  readonly inputs: ReadonlyMap<string, TensorArray>;
  readonly weights: ReadonlyMap<string, TensorArray>;
  /** `weights.get`, as the interpreter wants it. */
  readonly parameters: (name: string) => TensorArray | undefined;
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
function randomSymbols({ symbols }: Graph, next: () => number): Map<string, number> {
  const values = new Map<string, number>();
  const valueOfSymbol = (name: string): number => {
    const sum = symbols.find((one) => one.name === name)?.sum;
    return sum?.reduce((total, part) => total + valueOfSymbol(part), 0) ?? values.get(name) ?? 0;
  };
  for (const { name, max, sum } of symbols) {
    if (sum === undefined) values.set(name, name === "past" ? 0 : 1 + Math.floor(next() * max));
  }
  const past = symbols.find((one) => one.name === "past");
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

/**
 * Values for a graph of `randomGraph`, or for any graph whose indices may be 0 to 6: symbols from 1 to their bound,
 * floats that f32 holds exactly, and parameters rounded as they are stored.
 */
export function randomValues(graph: Graph, seed: number): GraphValues {
  const next = randomNumbers(seed);
  const symbols = randomSymbols(graph, next);
  const inputs = new Map<string, TensorArray>();
  const weights = new Map<string, TensorArray>();
  for (const { op, type, attributes } of graph.nodes) {
    if (op !== "input" && op !== "parameter") continue;
    const name = attributes.name as string;
    const { low, high } =
      op === "parameter" ? parameterRange(name) : type.dtype === "i32" ? indexRange : inputRange;
    const axes = type.axes.map((one: Axis) => ({ name: one.name, size: sizeFor(one.size, symbols) }));
    const data = Float64Array.from({ length: elementCount(axes) }, () =>
      type.dtype === "i32"
        ? low + Math.floor(next() * (high - low + 1))
        : roundTo(type.dtype, Math.fround(low + next() * (high - low))),
    );
    if (type.dtype === "nvfp4") data.set(nearestNvfp4(data));
    (op === "input" ? inputs : weights).set(name, { dtype: type.dtype, axes, data });
  }
  return { symbols, inputs, weights, parameters: (name) => weights.get(name) };
}

/** Values of several runs, one after the other, with the weights of the first. */
export function randomRuns(graph: Graph, seed: number, count: number): readonly GraphValues[] {
  const first = randomValues(graph, seed);
  const others = Array.from({ length: count - 1 }, (_, at) => randomValues(graph, seed + 1 + at));
  return [first, ...others.map(({ symbols, inputs }) => ({ ...first, symbols, inputs }))];
}
