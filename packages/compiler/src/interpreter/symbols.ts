/** Values of the run-time symbols: given by the caller, read off the inputs' sizes, or sums of others. */
import { type Graph, type Problem, type TensorArray, userProblem } from "@weft/dsl";

/**
 * Gives every symbol of a graph its value. A symbol that the caller leaves out is read off the size of an input whose
 * axis it names.
 * @returns the values, and every problem found: a value that is missing, no integer, or above the symbol's bound.
 */
export function resolveSymbols(
  graph: Graph,
  given: ReadonlyMap<string, number>,
  inputs: ReadonlyMap<string, TensorArray>,
): { readonly symbols: ReadonlyMap<string, number>; readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const symbols = new Map(given);
  const known = new Set(graph.symbols.map((one) => one.name));
  for (const name of given.keys()) {
    if (!known.has(name)) {
      problems.push(
        userProblem("interpret", `the graph must have a symbol "${name}"`, {
          given: `symbols ${[...known].join(", ") || "(none)"}`,
        }),
      );
    }
  }
  for (const [name, value] of sizesOfInputs(graph, inputs)) {
    if (!symbols.has(name)) symbols.set(name, value);
  }
  const sum = (name: string, depth: number): number | undefined => {
    const spec = graph.symbols.find((one) => one.name === name);
    if (spec?.sum === undefined || symbols.has(name) || depth > graph.symbols.length)
      return symbols.get(name);
    const parts = spec.sum.map((part) => sum(part, depth + 1));
    return parts.includes(undefined) ? undefined : parts.reduce((total: number, part) => total + part!, 0);
  };
  for (const spec of graph.symbols) {
    const value = sum(spec.name, 0);
    if (value === undefined) {
      problems.push(userProblem("interpret", `the symbol "${spec.name}" must be given a value`));
    } else if (!Number.isInteger(value) || value < 0 || value > spec.max) {
      problems.push(
        userProblem("interpret", `the symbol "${spec.name}" must be an integer from 0 to ${spec.max}`, {
          given: String(value),
        }),
      );
    } else symbols.set(spec.name, value);
  }
  return { symbols, problems };
}

function* sizesOfInputs(
  graph: Graph,
  inputs: ReadonlyMap<string, TensorArray>,
): IterableIterator<[string, number]> {
  for (const node of graph.nodes) {
    if (node.op !== "input") continue;
    const array = inputs.get(node.attributes.name as string);
    for (const { name, size } of node.type.axes) {
      const found = array?.axes.find((one) => one.name === name);
      if (typeof size !== "number" && found !== undefined) yield [size.symbol, found.size];
    }
  }
}
