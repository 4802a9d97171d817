/**
 * lastPosition: generation needs only the last position's logits. What only the last position needs is computed for
 * it alone, backward from the output: the head, the final norm, the last block's MLP, its queries. Keys and values
 * are still needed for every position.
 */
import { type Axis, findAxis, type Graph, type GraphNode, type NodeId, type OpName } from "@weft/dsl";
import type { Pass } from "./pass.ts";
import { placeOf } from "./pass.ts";
import { attributesOf, copyNode, liveNodes, rewriteGraph } from "./rewrite.ts";

const leaves: ReadonlySet<OpName> = new Set([
  "input",
  "parameter",
  "iota",
  "position",
  "stateRead",
  "stateWrite",
  "stateAppend",
]);

/** Whether the op computes each element of `axis` from the same element of its inputs. */
function elementwiseAlong(node: GraphNode, axis: string): boolean {
  if (leaves.has(node.op)) return false;
  switch (node.op) {
    case "reduceSum":
    case "reduceMax":
    case "mean":
    case "crossEntropy":
    case "crossEntropyGradient":
    case "topK":
    case "softmax":
    case "rmsNorm":
    case "slice":
    case "concat":
    case "last":
    case "splitAxis":
      return (node.attributes as { axis: string }).axis !== axis;
    case "meanCrossEntropy": {
      const { axis: classes, over } = attributesOf(node, "meanCrossEntropy");
      return classes !== axis && !over.includes(axis);
    }
    // These fix the axis by their attributes, or mix its elements.
    case "after":
    case "broadcast":
    case "scatterAdd":
    case "attendGradient":
    case "stochasticRound":
    case "quantizeNvfp4":
      return false;
    case "rope":
      return attributesOf(node, "rope").axis !== axis;
    case "dot":
      return !attributesOf(node, "dot").contract.includes(axis);
    case "linear":
      return !attributesOf(node, "linear").from.includes(axis);
    case "rename": {
      const { from, to } = attributesOf(node, "rename");
      return from !== axis && to !== axis;
    }
    case "mergeAxes": {
      const { axes, into } = attributesOf(node, "mergeAxes");
      return into !== axis && !axes.includes(axis);
    }
    default:
      return true;
  }
}

/** Inputs of which the last position is enough when the node is needed at its last position. */
function inputsAtLast(node: GraphNode, axis: string): readonly boolean[] {
  // Attention mixes positions through its keys and values; queries and their indices stay apart.
  if (node.op === "attend") return [true, false, false, true, true];
  if (node.op === "attendLogSumExp") return [true, false, true, true];
  return node.inputs.map(() => elementwiseAlong(node, axis));
}

function demands(graph: Graph, axis: string, outputs: ReadonlySet<string>): boolean[] {
  const live = liveNodes(graph);
  const everywhere = new Array<boolean>(graph.nodes.length).fill(false);
  for (const output of graph.outputs) if (!outputs.has(output.name)) everywhere[output.node] = true;
  for (let id = graph.nodes.length - 1; id >= 0; id--) {
    const node = graph.nodes[id]!;
    if (!live[id]) continue;
    const own = findAxis(node.type, axis);
    const atLast = !everywhere[id] && own !== undefined && !leaves.has(node.op);
    const enough = atLast ? inputsAtLast(node, axis) : [];
    if (!atLast) everywhere[id] = true;
    node.inputs.forEach((input, index) => {
      if (enough[index] !== true || findAxis(graph.nodes[input]!.type, axis) === undefined)
        everywhere[input] = true;
    });
  }
  return everywhere;
}

/** @param outputs names of the outputs of which only the last position is wanted. */
export function lastPosition(outputs: readonly string[] = ["output"], axis = "seq"): Pass {
  return {
    name: "lastPosition",
    summary: `only the last element of "${axis}" is computed where only it is needed`,
    run: (graph, log) => {
      const wanted = new Set(outputs);
      // One element is its own last one: a decode step has nothing to cut.
      if (graph.outputs.every((one) => !wanted.has(one.name) || sizeAlong(graph, one.node, axis) === 1))
        return graph;
      const everywhere = demands(graph, axis, wanted);
      // Old id of each node that stands at its last position only, by its new id.
      const atLast = new Set<NodeId>();
      const rewritten = rewriteGraph(graph, (builder, node, inputs) => {
        if (everywhere[node.id]) return undefined;
        const cut = inputs.map((id, index) => {
          const old = node.inputs[index]!;
          const enough = inputsAtLast(node, axis)[index] === true;
          if (!enough || atLast.has(id) || findAxis(graph.nodes[old]!.type, axis) === undefined) return id;
          return builder.add("last", [id], { axis });
        });
        log.fired("computed for the last position only", placeOf(node));
        const id = copyNode(builder, node, cut);
        // An op along the axis itself, as a softmax over positions, still gives all of it: its readers cut it.
        if (findAxis(builder.type(id), axis)?.size === 1) atLast.add(id);
        return id;
      });
      return cutOutputs(rewritten, wanted, axis);
    },
  };
}

/** A value without the axis counts as one element along it. */
function sizeAlong(graph: Graph, id: NodeId, axis: string): Axis["size"] {
  return findAxis(graph.nodes[id]!.type, axis)?.size ?? 1;
}

/** An output that something else needs everywhere is cut at the very end. */
function cutOutputs(graph: Graph, wanted: ReadonlySet<string>, axis: string): Graph {
  const whole = graph.outputs.filter((one) => wanted.has(one.name) && sizeAlong(graph, one.node, axis) !== 1);
  if (whole.length === 0) return graph;
  const nodes = [...graph.nodes];
  const outputs = graph.outputs.map((one) => {
    if (!whole.includes(one)) return one;
    const source = graph.nodes[one.node]!;
    const type = {
      ...source.type,
      axes: source.type.axes.map((other) => (other.name === axis ? { name: axis, size: 1 } : other)),
    };
    const id = nodes.length;
    nodes.push({ id, op: "last", inputs: [one.node], attributes: { axis }, type, origin: source.origin });
    return { name: one.name, node: id };
  });
  return { ...graph, nodes, outputs };
}
