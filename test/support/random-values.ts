/** Repeatable values for random graphs, within the ranges that these are grown for. */
import type { Graph, TensorArray } from "@weft/dsl";
import { type GraphValues, randomNumbers, randomSymbols, randomTensor } from "@weft/dsl/testing";
import { indexRange, inputRange, parameterRange } from "./graph-writer.ts";
import { nearestNvfp4 } from "./nvfp4-values.ts";

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
    const range = op === "parameter" ? parameterRange(name) : type.dtype === "i32" ? indexRange : inputRange;
    const tensor = randomTensor(type, range, symbols, next);
    if (type.dtype === "nvfp4") tensor.data.set(nearestNvfp4(tensor.data));
    (op === "input" ? inputs : weights).set(name, tensor);
  }
  return { symbols, inputs, weights, parameters: (name) => weights.get(name) };
}

/** Values of several runs, one after the other, with the weights of the first. */
export function randomRuns(graph: Graph, seed: number, count: number): readonly GraphValues[] {
  const first = randomValues(graph, seed);
  const others = Array.from({ length: count - 1 }, (_, at) => randomValues(graph, seed + 1 + at));
  return [first, ...others.map(({ symbols, inputs }) => ({ ...first, symbols, inputs }))];
}
