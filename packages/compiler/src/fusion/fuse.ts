/**
 * fuse: which nodes become one kernel. In this order:
 *
 * 1. Every product that reads a weight leads a matmul; products of one input join it (q, k and v; gate and up).
 * 2. What follows a product column by column becomes its epilogue, as far as that stores fewer bytes.
 * 3. What only a matmul's input needs becomes its prologue.
 * 4. What is left grows into row programs: pointwise chains and row reductions over one space.
 * 5. A state's new value is written by the row program that computes it from the old one.
 * 6. Row programs over one space that read the same value become one.
 *
 * A group never waits for itself: each step checks the order of the whole. Reading a state before it is overwritten is
 * part of that order. Every refusal is kept with its reason.
 */
import { type Graph, type GraphNode, holdsFloats, isFloat, type NodeId } from "@weft/dsl";
import { PassRecorder, placeOf, type Refusal } from "../passes/pass.ts";
import { formAttention } from "./attention.ts";
import { classify } from "./classify.ts";
import { type Grower, type Growth, growBackward, growForward, prune } from "./grow.ts";
import { type FusionContext, ownSpace } from "./legality.ts";
import { formLossHead } from "./loss-head.ts";
import { formMatmul, growPrologue } from "./matmul.ts";
import { orderGroups } from "./order.ts";
import { Partition } from "./partition.ts";
import { sumBehind } from "./scatter-add.ts";
import { joinSiblings } from "./siblings.ts";
import { settleStates } from "./state-order.ts";
import {
  type FusedGraph,
  type FusedGroup,
  type FusedMatmul,
  type FusedRows,
  firstNodeOf,
  type GrowthRefusal,
  nodesOf,
} from "./types.ts";
import { isWrittenWhereMade, joinUpdate, readBeforeUpdate } from "./update-in-place.ts";

export interface FuseOptions {
  /** false: every primitive is a kernel of its own, and products take the general route. */
  readonly enabled: boolean;
  /** Positions of a chunk of the loss' head; without it, no cross entropy is kept as a node. */
  readonly lossChunk?: number | undefined;
}

export function fuse(given: Graph, options: FuseOptions = { enabled: true }): FusedGraph {
  const recorder = new PassRecorder();
  const listed = classify(given);
  const graph = settleStates(given, listed.views);
  const classified = graph === given ? listed : classify(graph);
  const context: FusionContext = {
    graph,
    classified,
    consumers: readersOf(graph),
    outputs: new Set(graph.outputs.map((one) => one.node)),
  };
  const partition = new Partition(graph, classified.waits);
  const growthRefusals: GrowthRefusal[] = [];
  const growth: Growth = {
    context,
    partition,
    refuse: (rule, node, seed, reason) => {
      growthRefusals.push({ rule, node, seed, reason });
      // A view costs nothing wherever it is; what stands behind it is what a reader asks for.
      if (classified.kinds[node] !== "view") recorder.refused(rule, placeOf(graph.nodes[node]!), reason);
    },
  };
  const groups: FusedGroup[] = [];

  const add = (group: FusedGroup) => {
    partition.form(nodesOf(group));
    groups.push(group);
  };
  const updates: { readonly write: GraphNode; readonly read: GraphNode | undefined }[] = [];
  // Kernels that stand alone are told apart first, so that the order check sees them.
  for (const node of graph.nodes) {
    const kind = classified.kinds[node.id]!;
    if (!partition.isFree(node.id)) continue;
    const read = options.enabled ? readBeforeUpdate(growth, node) : undefined;
    if (read !== undefined || isWrittenWhereMade(growth, node)) updates.push({ write: node, read });
    else if (kind === "attend") add(formAttention(growth, node));
    else if (kind === "lossHead") add(formLossHead(growth, node, options.lossChunk!));
    else if (kind === "topK") add({ kind: "topK", node: node.id });
    else if (kind === "scatterAdd")
      add({
        kind: "scatterAdd",
        node: node.id,
        sum: options.enabled ? sumBehind(growth, node.id) : undefined,
      });
    else if (kind === "state") add({ kind: "state", node: node.id });
    else if (kind === "dot" && !options.enabled) add({ kind: "contract", node: node.id });
  }
  for (const node of graph.nodes) {
    if (node.op !== "dot" || !partition.isFree(node.id)) continue;
    const formed = formMatmul(growth, node.id);
    if (typeof formed === "string") {
      growth.refuse("matmul template", node.id, node.id, formed);
      add({ kind: "contract", node: node.id });
    } else add(formed.group);
  }
  groups.forEach((group, index) => {
    if (group.kind === "matmul") groups[index] = withPrologue(growth, group, index);
  });
  for (const node of graph.nodes) {
    const kind = classified.kinds[node.id]!;
    if ((kind !== "map" && kind !== "reduce") || !partition.isFree(node.id)) continue;
    add(formRows(growth, node.id, options.enabled));
  }
  for (const { write, read } of updates) {
    if (!joinUpdate(growth, groups, write, read)) add({ kind: "state", node: write.id });
  }
  const fused = finish(context, options.enabled ? joinSiblings(growth, groups) : groups, recorder);
  return { ...fused, growthRefusals, isFused: options.enabled };
}

/** For each node, the nodes that read its value (each once). An `after` only waits for its second input. */
function readersOf(graph: Graph): NodeId[][] {
  const readers: NodeId[][] = graph.nodes.map(() => []);
  for (const { id, op, inputs } of graph.nodes) {
    for (const input of new Set(op === "after" ? inputs.slice(0, 1) : inputs)) readers[input]!.push(id);
  }
  return readers;
}

function withPrologue(growth: Growth, group: FusedMatmul, index: number): FusedMatmul {
  const prologue = growPrologue(growth, group, new Set(nodesOf(group)));
  growth.partition.extend(index, prologue);
  return { ...group, prologue: { ...group.prologue, nodes: prologue } };
}

function formRows(growth: Growth, seed: NodeId, grow: boolean): FusedRows {
  const space = ownSpace(growth.context, seed);
  const nodes = new Set([seed]);
  const grower: Grower = { rule: "row program", seed };
  const { graph, consumers } = growth.context;
  // What only holds floats is no value of its own: what reads it as floats goes with it.
  const { dtype } = graph.nodes[seed]!.type;
  if (!grow && holdsFloats(dtype) && !isFloat(dtype))
    for (const reader of consumers[seed]!) if (graph.nodes[reader]!.op === "cast") nodes.add(reader);
  if (grow) {
    for (let before = 0; before !== nodes.size; ) {
      before = nodes.size;
      growForward(growth, nodes, () => space, grower);
      const producers = [...nodes].flatMap((id) => growth.context.graph.nodes[id]!.inputs);
      growBackward(growth, nodes, nodes, producers, space, grower);
    }
    prune(growth, nodes, new Set([seed]), grower);
  }
  return { kind: "rows", seed, space, nodes };
}

/** Which values need a buffer, what must be moved for it, and the order of everything. */
function finish(
  context: FusionContext,
  formed: readonly FusedGroup[],
  recorder: PassRecorder,
): Omit<FusedGraph, "growthRefusals" | "isFused"> {
  const { graph, classified } = context;
  const groups: FusedGroup[] = [...formed];
  const groupOf = new Int32Array(graph.nodes.length).fill(-1);
  groups.forEach((group, index) => {
    for (const id of nodesOf(group)) groupOf[id] = index;
  });
  const stored = new Set<NodeId>();
  const need = (id: NodeId) => {
    const base = classified.views[id]?.base;
    if (base === undefined || stored.has(base) || classified.kinds[base] === "leaf") return;
    stored.add(base);
    const kind = classified.kinds[base];
    if ((kind === "view" || kind === "saved") && groupOf[base] === -1) {
      groupOf[base] = groups.length;
      groups.push({ kind: "move", node: base });
      for (const input of graph.nodes[base]!.inputs) need(input);
    }
  };
  for (const output of graph.outputs) need(output.node);
  // What is waited for must be computed, whether or not somebody reads it.
  for (const { op, inputs } of graph.nodes) if (op === "after") need(inputs[1]!);
  for (const group of formed) {
    const inside = new Set(nodesOf(group));
    for (const id of inside) {
      for (const input of graph.nodes[id]!.inputs) {
        const own = group.kind === "matmul" && crossesMatmul(group, id, input);
        if (own || !inside.has(input)) need(input);
      }
    }
  }
  for (const group of groups) recorder.fired(group.kind, placeOf(graph.nodes[firstNodeOf(group)]!));
  const order = orderGroups(classified.waits, groups, groupOf);
  const position = new Int32Array(groups.length);
  order.forEach((old, index) => {
    position[old] = index;
  });
  return {
    graph,
    groups: order.map((old) => groups[old]!),
    groupOf: groupOf.map((old) => (old === -1 ? -1 : position[old]!)),
    stored,
    viewOf: (id) => classified.views[id],
    refusals: dedupe(recorder.refusals),
    fired: recorder.rules,
  };
}

/** The epilogue cannot read the registers of the prologue, except through the products. */
function crossesMatmul(group: FusedMatmul, reader: NodeId, input: NodeId): boolean {
  return (
    group.prologue.nodes.has(input) &&
    group.columns.some((one) => one.nodes.has(reader) && !one.dots.includes(reader))
  );
}

function dedupe(refusals: readonly Refusal[]): Refusal[] {
  const seen = new Map(refusals.map((one) => [`${one.rule}|${one.path}|${one.reason}`, one]));
  return [...seen.values()];
}
