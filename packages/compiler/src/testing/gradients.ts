/** Gradients by the pass `grad` against central differences, both on the interpreter in double precision. */
import {
  type AnyBlock,
  type BlockLike,
  type Graph,
  GraphBuilder,
  isFloat,
  orThrow,
  type TensorArray,
  verifyGraph,
} from "@weft/dsl";
import {
  type GraphValues,
  placeOf,
  type SeededValuesOptions,
  seededValues,
  TestFailure,
} from "@weft/dsl/testing";
import { interpret } from "../interpreter/index.ts";
import { expandBlock } from "../passes/expand.ts";
import { grad, gradientOutput } from "../passes/grad/grad.ts";
import { runPasses } from "../passes/pass.ts";
import { attributesOf, copyNode } from "../passes/rewrite.ts";
import { type CompileBlockOptions, isGraph } from "./compile-block.ts";

/** What a graph is evaluated at. */
export type Point = Pick<GraphValues, "inputs" | "weights"> & Partial<Pick<GraphValues, "symbols">>;

/** The name of the output that `withLoss` adds. */
export const lossOutput = "loss";

function run(graph: Graph, { symbols, inputs, weights }: Point): Map<string, TensorArray> {
  return interpret(graph, {
    inputs,
    parameters: (name) => weights.get(name),
    ...(symbols === undefined ? {} : { symbols }),
  });
}

/**
 * The graph with one output, the loss: half the squares of all its float outputs, each element weighed otherwise.
 * @param trained inputs that become parameters, so that they have gradients
 */
export function withLoss(graph: Graph, trained: (input: string) => boolean = () => false): Graph {
  const builder = new GraphBuilder();
  for (const symbol of graph.symbols) builder.declareSymbol(symbol);
  for (const state of graph.states) builder.declareState(state);
  const copies: number[] = [];
  for (const node of graph.nodes) {
    builder.origin = node.origin;
    const becomes =
      node.op === "input" && isFloat(node.type.dtype) && trained(node.attributes.name as string);
    const inputs = node.inputs.map((id) => copies[id]!);
    copies.push(
      becomes
        ? builder.add("parameter", [], attributesOf(node, "parameter"))
        : copyNode(builder, node, inputs),
    );
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
  /** Half the distance of the two values that are compared. Default: 1e-5. */
  readonly step?: number;
  /** Elements of each parameter that are tried, spread over it; default: all. */
  readonly most?: number;
  /** Default: 1e-6. */
  readonly absolute?: number;
  /** Default: 1e-6. */
  readonly relative?: number;
}

/**
 * Asserts each gradient of a graph's `loss` against central differences. A parameter for which the pass gives none must
 * not change the loss.
 * @returns the number of elements that were compared and whose derivative is not 0.
 * @throws TestFailure that names the parameter and the element, with both values.
 */
export function assertGradients(graph: Graph, point: Point, options: DifferenceOptions = {}): number {
  const { step = 1e-5, most = Number.POSITIVE_INFINITY, absolute = 1e-6, relative = 1e-6 } = options;
  const gradients = gradientsOf(graph, point);
  let compared = 0;
  for (const [name, array] of point.weights) {
    const gradient = gradients.get(name);
    if (gradient !== undefined && formatAxes(gradient) !== formatAxes(array)) {
      throw new TestFailure(
        `gradients: ${name} is ${formatAxes(array)}, its gradient by grad ${formatAxes(gradient)}`,
      );
    }
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
      if (Math.abs(actual - expected) <= absolute + relative * Math.abs(expected)) continue;
      const none = gradient === undefined ? " (grad gives this parameter no gradient)" : "";
      throw new TestFailure(
        `gradients: ${name}${placeOf(array, at)} is ${actual} by grad${none}, ${expected} by central differences with step ${step}`,
      );
    }
  }
  return compared;
}

const formatAxes = ({ axes }: TensorArray): string =>
  `[${axes.map(({ name, size }) => `${name}=${size}`).join(", ")}]`;

export interface GradCheckOptions
  extends Pick<CompileBlockOptions, "lead">,
    SeededValuesOptions,
    DifferenceOptions {
  /** Default: 0. */
  readonly seed?: number;
}

/**
 * Asserts that what `grad` makes of a block is the slope of what the block computes: of all its parameters and float
 * inputs, by central differences of the interpreter in double precision. The loss weighs every element of the outputs.
 * @param given a block, or a graph whose outputs the loss is made of
 * @returns the number of derivatives that were compared and are not 0.
 * @throws TestFailure that names the parameter and the element, with both values, and how to repeat it; also when no
 * derivative differs from 0, since such a test shows nothing.
 * @example gradCheck(mlp, { lead: [axis("seq", 3)], seed: 7 });
 */
export function gradCheck(given: AnyBlock | BlockLike | Graph, options: GradCheckOptions = {}): number {
  const { lead = [], seed = 0 } = options;
  const forward = isGraph(given) ? given : expandBlock(given, { name: "gradCheck", lead });
  const graph = withLoss(forward, () => true);
  const values = seededValues(graph, seed, options);
  const sizes = [...values.symbols].map(([name, value]) => `, ${name}=${value}`).join("");
  const repeat = `seed ${seed}${sizes}; repeat it with gradCheck(..., { seed: ${seed} })`;
  let compared: number;
  try {
    compared = assertGradients(graph, values, options);
  } catch (error) {
    if (!(error instanceof TestFailure)) throw error;
    throw new TestFailure(`gradCheck: ${error.message.replace(/^gradients: /, "")} (${repeat})`);
  }
  if (compared === 0) {
    throw new TestFailure(`gradCheck: every derivative is 0, so nothing was checked (${repeat})`);
  }
  return compared;
}
