/**
 * grad: the derivatives of a loss by parameters, as further outputs of the same graph.
 *
 * - Reverse mode, graph to graph, before fusion. What the graph gave it still gives, by the same nodes.
 * - Every gradient is f32, with the axes of its parameter in order, whatever the parameter is stored in: the pass runs
 *   before `precision`, which then decides what the products of both directions read.
 * - Gradients of several uses of a parameter (a tied embedding) are summed: it is one node.
 * - A parameter that was asked for by name and that the loss does not depend on is an error. A gradient of zeros would
 *   let an optimizer decay a weight that nothing trains.
 */
import {
  formatType,
  type Graph,
  GraphBuilder,
  type GraphNode,
  isFloat,
  type NodeId,
  nearestName,
  type Problem,
  userProblem,
  WeftError,
} from "@weft/dsl";
import type { Pass } from "../pass.ts";
import { copyNode, dropDead, liveNodes } from "../rewrite.ts";
import { differentiate } from "./differentiate.ts";

export interface GradOptions {
  /** The output that is the loss: one float number. */
  readonly loss: string;
  /** Names of the parameters; left out, every float parameter that the loss depends on. */
  readonly parameters?: readonly string[];
}

/** The name of the output that holds a parameter's gradient. */
export function gradientOutput(parameter: string): string {
  return `gradient.${parameter}`;
}

/**
 * @throws WeftError when the run finds no such output or it is not one float number, when a parameter does not exist, is
 * not a float or is nothing that the loss depends on, and for each op on the way whose derivative is missing.
 */
export function grad({ loss, parameters }: GradOptions): Pass {
  return {
    name: "grad",
    summary: `the gradients of ${loss} are outputs too`,
    run: (graph, log) => {
      const builder = new GraphBuilder();
      const copies = copyInto(builder, graph);
      const root = copies[lossOf(graph, loss)]!;
      const candidates = parametersOf(graph, copies);
      const wanted = parameters === undefined ? [...candidates.keys()] : checked(parameters, candidates);
      const targets = new Set(wanted.map((name) => candidates.get(name)!));
      const problems: Problem[] = [];
      builder.origin = builder.node(root).origin;
      const cotangents = differentiate(builder, root, builder.constant(1), targets, problems);
      for (const name of wanted) {
        if (parameters === undefined || cotangents.has(candidates.get(name)!)) continue;
        problems.push(
          userProblem("grad", `the loss "${loss}" must depend on the parameter`, {
            given: JSON.stringify(name),
            remedy: "leave it out of the parameters, or put it to use",
          }),
        );
      }
      const [first, ...rest] = problems;
      if (first !== undefined) throw new WeftError([first, ...rest]);
      const gradients = wanted.flatMap((name) => {
        const node = cotangents.get(candidates.get(name)!);
        if (node === undefined) return [];
        log.fired("gradient", name);
        return [{ name: gradientOutput(name), node }];
      });
      const outputs = graph.outputs.map((one) => ({ name: one.name, node: copies[one.node]! }));
      return dropDead(builder.finish(graph.name, [...outputs, ...gradients]));
    },
  };
}

/** The nodes that something needs, in a builder that more can be added to; their new ids by the old ones. */
function copyInto(builder: GraphBuilder, graph: Graph): NodeId[] {
  for (const symbol of graph.symbols) builder.declareSymbol(symbol);
  for (const state of graph.states) builder.declareState(state);
  const live = liveNodes(graph);
  const copies: NodeId[] = [];
  for (const node of graph.nodes) {
    if (!live[node.id]) continue;
    builder.origin = node.origin;
    const inputs = node.inputs.map((id) => copies[id]!);
    copies[node.id] = copyNode(builder, node, inputs);
  }
  return copies;
}

function lossOf(graph: Graph, loss: string): NodeId {
  const found = graph.outputs.find((one) => one.name === loss);
  const names = graph.outputs.map((one) => one.name);
  if (found === undefined) {
    const near = nearestName(loss, names);
    throw new WeftError([
      userProblem("grad", "the loss must be an output of the graph", {
        given: JSON.stringify(loss),
        remedy: near === undefined ? `outputs: ${names.join(", ")}` : `did you mean "${near}"?`,
      }),
    ]);
  }
  const { type, origin } = graph.nodes[found.node]!;
  if (type.axes.length === 0 && isFloat(type.dtype)) return found.node;
  throw new WeftError([
    userProblem("grad", `the loss "${loss}" must be one float number`, {
      given: formatType(type),
      path: origin.path,
      remedy: "sum it, or take its mean, over the axes that are left",
    }),
  ]);
}

/** The live parameters that can have a gradient, by name, in the order of the graph. */
function parametersOf(graph: Graph, copies: readonly (NodeId | undefined)[]): Map<string, NodeId> {
  const isParameter = ({ op, type }: GraphNode) => op === "parameter" && isFloat(type.dtype);
  return new Map(
    graph.nodes.flatMap((node): [string, NodeId][] => {
      const copy = copies[node.id];
      return isParameter(node) && copy !== undefined ? [[node.attributes.name as string, copy]] : [];
    }),
  );
}

/** The names, each once, if the graph has a float parameter of each. */
function checked(names: readonly string[], known: ReadonlyMap<string, NodeId>): readonly string[] {
  const problems = names.flatMap((name): Problem[] => {
    if (known.has(name)) return [];
    const near = nearestName(name, [...known.keys()]);
    return [
      userProblem("grad", "the graph must have a float parameter of this name", {
        given: JSON.stringify(name),
        ...(near === undefined ? {} : { remedy: `did you mean "${near}"?` }),
      }),
    ];
  });
  const [first, ...rest] = problems;
  if (first !== undefined) throw new WeftError([first, ...rest]);
  return [...new Set(names)];
}
