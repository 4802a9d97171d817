/** What each node is to the fuser, and where values can be read from. */
import { type Dtype, type Graph, type GraphNode, holdsFloats, type NodeId, opTable } from "@weft/dsl";
import { attributesOf } from "../passes/rewrite.ts";
import { elementBytes } from "../plan/element-bytes.ts";
import { constantSum } from "./affine.ts";
import { attentionIndex, isAttention } from "./attention.ts";
import { indexExpression } from "./index-arithmetic.ts";
import { readsToSave, waitsOf } from "./state-order.ts";
import { applyView, contiguousStrides, isView, stateStrides, type View } from "./view.ts";

/**
 * `leaf`: lies in a buffer that somebody else fills. `saved`: what a state holds, copied out before it is overwritten.
 * `inline`: index arithmetic, computed wherever it is used. `view`: a change of axes. `map` and `reduce` go into row
 * programs. The rest have kernels of their own.
 */
export type NodeKind =
  | "leaf"
  | "saved"
  | "inline"
  | "view"
  | "map"
  | "reduce"
  | "dot"
  | "attend"
  | "topK"
  | "scatterAdd"
  | "lossHead"
  | "state";

export interface Classified {
  readonly kinds: readonly NodeKind[];
  /** Views resolved to the buffer they look into; undefined for inline values. */
  readonly views: readonly (View | undefined)[];
  /** For each node what must be computed before it: its inputs, and what the order of states asks for. */
  readonly waits: readonly (readonly NodeId[])[];
}

const integerArithmetic: ReadonlySet<string> = new Set(["add", "sub", "mul", "cast", "last"]);

/** Operations that a value which is computed wherever it is used may take, those of its inputs included. */
const mostInline = 64;

function kindOf(
  graph: Graph,
  node: GraphNode,
  kinds: readonly NodeKind[],
  operations: readonly number[],
): NodeKind {
  switch (node.op) {
    case "input":
    case "parameter":
    case "stateRead":
      return "leaf";
    case "constant":
    case "iota":
    case "symbol":
      return "inline";
    case "stateAppend":
    case "stateWrite":
      return "state";
    case "dot":
      return "dot";
    case "attend":
    case "attendLogSumExp":
    case "attendGradient":
      return "attend";
    case "topK":
      return "topK";
    case "crossEntropy":
    case "crossEntropyGradient":
      return "lossHead";
    case "scatterAdd":
      return "scatterAdd";
    case "reduceSum":
    case "reduceMax":
      return "reduce";
    default: {
      // Positions and masks' indices are a few integer operations: cheaper to do again than to store.
      const indexLike =
        integerArithmetic.has(node.op) &&
        (node.type.dtype === "i32" || node.op === "cast") &&
        node.inputs.every((id) => kinds[id] === "inline") &&
        operations[node.id]! <= mostInline;
      if (indexLike && (node.op !== "last" || indexExpression(graph, node.id) !== undefined)) return "inline";
      if (isView(node) || widensStored(graph, node, kinds)) return "view";
      if (opTable[node.op].meaning.tag === "definition") {
        throw new Error(`${node.op} must be decomposed before fusion`);
      }
      return "map";
    }
  }
}

const widens = (dtype: Dtype): boolean => holdsFloats(dtype) || dtype === "i8";

/** Reading a narrow weight, cache or moment as f32 is what a load does anyway. */
function widensStored(graph: Graph, node: GraphNode, kinds: readonly NodeKind[]): boolean {
  if (node.op !== "cast" || node.type.dtype !== "f32") return false;
  for (let id = node.inputs[0]!; ; id = graph.nodes[id]!.inputs[0]!) {
    const kind = kinds[id]!;
    if (kind === "leaf" || kind === "state") return widens(graph.nodes[id]!.type.dtype);
    if (kind !== "view" || graph.nodes[id]!.op === "concat") return false;
  }
}

export function classify(graph: Graph): Classified {
  const kinds: NodeKind[] = [];
  const operations: number[] = [];
  for (const node of graph.nodes) {
    // Only what index arithmetic reads counts on: a sum over a whole graph would be beyond all numbers.
    const inputs = node.inputs.map((id) => (kinds[id] === "inline" ? operations[id]! : 0));
    operations.push(inputs.reduce((sum, one) => sum + one, 1));
    kinds.push(kindOf(graph, node, kinds, operations));
  }
  storeWhatKernelsRead(graph, kinds);
  const views = viewsOf(graph, kinds);
  const saved = readsToSave(graph, views);
  for (const id of saved) kinds[id] = "saved";
  const waits = waitsOf(graph, views, saved);
  return { kinds, views: saved.size === 0 ? views : viewsOf(graph, kinds), waits };
}

function viewsOf(graph: Graph, kinds: readonly NodeKind[]): (View | undefined)[] {
  const views: (View | undefined)[] = [];
  for (const node of graph.nodes) {
    const kind = kinds[node.id]!;
    const inState = kind === "saved" ? undefined : stateStrides(graph, node);
    const own = (): View => ({
      base: node.id,
      offset: constantSum(0),
      strides: inState ?? contiguousStrides(node.type.axes),
    });
    if (kind === "inline") views.push(undefined);
    else if (kind !== "view") views.push(own());
    else {
      const source = node.op === "concat" ? undefined : views[node.inputs[0]!];
      views.push((source && applyView(graph, node, source)) ?? own());
    }
  }
  return views;
}

const readsMemory: ReadonlySet<NodeKind> = new Set([
  "view",
  "dot",
  "topK",
  "scatterAdd",
  "lossHead",
  "state",
]);

/** Only row programs can do index arithmetic; everything else reads memory. */
function storeWhatKernelsRead(graph: Graph, kinds: NodeKind[]): void {
  const store = (id: NodeId) => {
    if (kinds[id] === "inline") kinds[id] = "map";
  };
  for (const node of graph.nodes) {
    const kind = kinds[node.id]!;
    // What an `after` waits for is not read.
    if (node.op === "after") store(node.inputs[0]!);
    else if (readsMemory.has(kind)) node.inputs.forEach(store);
    // The queries' indices become a symbol of the kernel; everything else is read.
    if (isAttention(node.op)) node.inputs.toSpliced(attentionIndex[node.op], 1).forEach(store);
    if (node.op === "gather") store(node.inputs[0]!);
  }
  for (const output of graph.outputs) store(output.node);
}

/** Slices and joins along the row are register moves inside a row program. */
export function rowAxisOfView(node: GraphNode): string | undefined {
  if (node.op === "slice") return attributesOf(node, "slice").axis;
  if (node.op === "concat") return attributesOf(node, "concat").axis;
  return undefined;
}

/** The bytes that storing a node takes, at the largest sizes. */
export function storedBytes(graph: Graph, id: NodeId): number {
  const { type } = graph.nodes[id]!;
  const count = type.axes.reduce(
    (product, one) => product * (typeof one.size === "number" ? one.size : one.size.max),
    1,
  );
  return count * elementBytes[type.dtype];
}
