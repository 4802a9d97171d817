/** Repeatable values for the inputs and parameters of a graph. */
import { type Axis, elementCount, type Graph, roundTo, sizeFor, type TensorArray } from "@weft/dsl";
import { indexRange, inputRange, parameterRange } from "./graph-writer.ts";

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

/**
 * Values for a graph of `randomGraph`, or for any graph whose indices may be 0 to 6: symbols from 1 to their bound,
 * floats that f32 holds exactly, and parameters rounded as they are stored.
 */
export function randomValues(graph: Graph, seed: number): GraphValues {
  const next = randomNumbers(seed);
  const symbols = new Map<string, number>();
  for (const { name, max, sum } of graph.symbols) {
    if (sum === undefined) symbols.set(name, 1 + Math.floor(next() * max));
  }
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
    (op === "input" ? inputs : weights).set(name, { dtype: type.dtype, axes, data });
  }
  return { symbols, inputs, weights, parameters: (name) => weights.get(name) };
}
