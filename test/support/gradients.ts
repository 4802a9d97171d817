/** Gradients of a graph, by the pass and by central differences, both on the interpreter in double precision. */
import { grad, gradientOutput, interpret, runPasses } from "@weft/compiler";
import { type Graph, GraphBuilder, isFloat, orThrow, type TensorArray, verifyGraph } from "@weft/dsl";
import * as assert from "uvu/assert";

/** What a graph is evaluated at. */
export interface Point {
  readonly symbols?: ReadonlyMap<string, number>;
  readonly inputs: ReadonlyMap<string, TensorArray>;
  readonly weights: ReadonlyMap<string, TensorArray>;
}

export const lossOutput = "loss";

function run(graph: Graph, { symbols, inputs, weights }: Point): Map<string, TensorArray> {
  return interpret(graph, {
    inputs,
    parameters: (name) => weights.get(name),
    ...(symbols === undefined ? {} : { symbols }),
  });
}

/** The graph with a further output, the loss: half the squares of all float outputs, each element weighed otherwise. */
export function withLoss(graph: Graph): Graph {
  const builder = new GraphBuilder();
  for (const symbol of graph.symbols) builder.declareSymbol(symbol);
  for (const state of graph.states) builder.declareState(state);
  const copies: number[] = [];
  for (const node of graph.nodes) {
    builder.origin = node.origin;
    const inputs = node.inputs.map((id) => copies[id]!);
    copies.push(builder.add(node.op, inputs, node.attributes as never));
  }
  builder.origin = { path: lossOutput };
  let loss = builder.constant(0);
  for (const { node } of graph.outputs) {
    const { dtype, axes } = builder.type(copies[node]!);
    if (!isFloat(dtype)) continue;
    let term = builder.add("cast", [copies[node]!], { dtype: "f32" });
    term = builder.add("mul", [builder.add("mul", [term, term], {}), builder.constant(0.5)], {});
    for (const axis of axes) {
      // 1, cos 1, cos 2, ...: a permutation of the elements does not go unseen.
      const index = builder.add("cast", [builder.add("iota", [], { axis })], { dtype: "f32" });
      term = builder.add("reduceSum", [builder.add("mul", [term, builder.add("cos", [index], {})], {})], {
        axis: axis.name,
      });
    }
    loss = builder.add("add", [loss, term], {});
  }
  return builder.finish(graph.name, [{ name: lossOutput, node: loss }]);
}

/** Every gradient that the pass gives, by the parameter's name. */
export function gradientsOf(graph: Graph, point: Point, loss = lossOutput): Map<string, TensorArray> {
  const { graph: after } = orThrow(runPasses(graph, [grad({ loss })], verifyGraph));
  const outputs = run(after, point);
  const names = [...point.weights.keys()].filter((name) => outputs.has(gradientOutput(name)));
  return new Map(names.map((name) => [name, outputs.get(gradientOutput(name))!]));
}

export interface DifferenceOptions {
  /** Half the distance of the two values that are compared. */
  readonly step?: number;
  /** Elements of each parameter that are tried, spread over it; default: all. */
  readonly most?: number;
  readonly absolute?: number;
  readonly relative?: number;
}

/**
 * Asserts each gradient against central differences. A parameter for which the pass gives none must not change the loss.
 * @returns the number of elements that were compared and whose derivative is not 0.
 */
export function expectGradients(graph: Graph, point: Point, options: DifferenceOptions = {}): number {
  const { step = 1e-5, most = Number.POSITIVE_INFINITY, absolute = 1e-6, relative = 1e-6 } = options;
  const gradients = gradientsOf(graph, point);
  let compared = 0;
  for (const [name, array] of point.weights) {
    const gradient = gradients.get(name);
    if (gradient !== undefined) assert.equal(gradient.axes, array.axes, `${name}: axes of the gradient`);
    const stride = Math.max(1, Math.ceil(array.data.length / most));
    for (let at = 0; at < array.data.length; at += stride) {
      const lossAt = (change: number) => {
        const data = array.data.slice();
        data[at]! += change;
        const weights = new Map(point.weights).set(name, { ...array, data });
        return run(graph, { ...point, weights }).get(lossOutput)!.data[0]!;
      };
      const expected = (lossAt(step) - lossAt(-step)) / (2 * step);
      const actual = gradient?.data[at] ?? 0;
      if (Math.abs(expected) > absolute) compared++;
      assert.ok(
        Math.abs(actual - expected) <= absolute + relative * Math.abs(expected),
        `${name}[${at}]: ${actual} by the pass, ${expected} by differences`,
      );
    }
  }
  return compared;
}
