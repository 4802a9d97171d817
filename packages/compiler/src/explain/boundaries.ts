/**
 * Where one kernel ends and another begins: for each value that a kernel gives and another one reads, why the two are
 * not one. Fusion has recorded what a growing kernel did not take in; what nobody tried, because a kernel of that kind
 * never grows there, follows from the kinds of both.
 */
import type { NodeId } from "@weft/dsl";
import { storedBytes } from "../fusion/classify.ts";
import { type FusedGraph, type FusedGroup, type FusedMatmul, nodesOf } from "../fusion/types.ts";

export interface BoundaryReason {
  /** What asked: `matmul epilogue`, `row program`, or the kind of kernel that takes in nothing. */
  readonly rule: string;
  readonly reason: string;
}

export interface Boundary {
  /** Index of the group that computes the value. */
  readonly from: number;
  /** Index of the group that reads it. */
  readonly to: number;
  readonly producer: NodeId;
  /** The operation that reads it, directly or through views. */
  readonly reader: NodeId;
  /** What the value takes in memory, at the largest sizes. */
  readonly bytes: number;
  /** At least one. */
  readonly reasons: readonly BoundaryReason[];
}

/** A value of another kernel, and the views through which it is read. */
interface Source {
  readonly producer: NodeId;
  readonly views: readonly NodeId[];
}

/** Every value that goes from one kernel to another, once for each operation that reads it; in the order of the readers. */
export function boundariesOf(fused: FusedGraph): readonly Boundary[] {
  const refused = new Map<NodeId, typeof fused.growthRefusals>();
  for (const one of fused.growthRefusals) refused.set(one.node, [...(refused.get(one.node) ?? []), one]);
  const sourcesOf = sourceFinder(fused);
  const written = writesBefore(fused);
  const recorded = (node: NodeId, group: number): BoundaryReason[] =>
    (refused.get(node) ?? [])
      .filter(({ seed }) => fused.groupOf[seed] === group)
      .map(({ rule, reason }) => ({ rule, reason }));
  return fused.groups.flatMap((group, to) =>
    nodesOf(group).flatMap((reader) => {
      // A copy of what a state holds reads what was written there before.
      const read = written.has(reader) ? [written.get(reader)!] : inputsOf(fused, reader);
      const others = sourcesOf(read).filter(({ producer }) => fused.groupOf[producer] !== to);
      return others.map(({ producer, views }): Boundary => {
        const from = fused.groupOf[producer]!;
        // The kernel that gives the value was offered what reads it; the one that reads it, what it reads.
        const reasons = [
          ...[...views, reader].flatMap((node) => recorded(node, from)),
          ...[producer, ...views].flatMap((node) => recorded(node, to)),
        ];
        return {
          from,
          to,
          producer,
          reader,
          bytes: storedBytes(fused.graph, producer),
          reasons: distinct(reasons.length > 0 ? reasons : reasonsOfKinds(fused, producer, reader)),
        };
      });
    }),
  );
}

/** Finds what computes the values that are read: through views, and through the memory of states. */
export function sourceFinder(fused: FusedGraph): (read: readonly NodeId[]) => readonly Source[] {
  const written = writesBefore(fused);
  return (read) => {
    const sources = new Map<NodeId, Source>();
    const look = (id: NodeId, views: readonly NodeId[]) => {
      if (sources.has(id)) return;
      const write = written.get(id);
      if (fused.groupOf[id]! >= 0) sources.set(id, { producer: id, views });
      else if (write !== undefined) look(write, [id, ...views]);
      // Index arithmetic is computed again wherever it is used, and reads nothing.
      else if (fused.viewOf(id) !== undefined)
        for (const input of inputsOf(fused, id)) look(input, [id, ...views]);
    };
    for (const id of read) look(id, []);
    return [...sources.values()];
  };
}

/** For each read of a state that was written before in the same program: what wrote it last. */
function writesBefore({ graph }: FusedGraph): ReadonlyMap<NodeId, NodeId> {
  const last = new Map<unknown, NodeId>();
  const found = new Map<NodeId, NodeId>();
  for (const { id, op, attributes } of graph.nodes) {
    const write = last.get(attributes.state);
    if (op === "stateRead" && write !== undefined) found.set(id, write);
    if (op === "stateWrite" || op === "stateAppend") last.set(attributes.state, id);
  }
  return found;
}

/** An `after` only waits for its second input. */
function inputsOf({ graph }: FusedGraph, id: NodeId): readonly NodeId[] {
  const { op, inputs } = graph.nodes[id]!;
  return op === "after" ? inputs.slice(0, 1) : inputs;
}

/** Why a kernel of this kind takes in nothing of what it reads; undefined for those that do. */
const readsFromMemory: Readonly<Record<FusedGroup["kind"], string | undefined>> = {
  rows: undefined,
  matmul: undefined,
  attention: "queries, keys and values are read from memory, block by block",
  attentionForward: "queries, keys and values are read from memory, block by block",
  attentionBackward: "all that the gradient of attention needs is read from memory, block by block",
  lossHead: "the input and the weight of a loss in chunks are read from memory, once for each chunk",
  topK: "rows of which the largest are picked are read from memory",
  scatterAdd: "rows that are added up by index are read from memory",
  contract: "a general product reads both sides from memory",
  move: "strides cannot say this layout: it is a copy",
  state: "a state that is not written where its value is computed is written by a copy",
};

/** Why a kernel of this kind takes in nothing that follows it. */
const givesToMemory: typeof readsFromMemory = {
  rows: undefined,
  matmul: undefined,
  attention: "the kernel of attention takes in nothing that follows",
  attentionForward: "the kernel of attention takes in nothing that follows",
  attentionBackward: "the kernel of attention's gradient takes in nothing that follows",
  lossHead: "a loss in chunks takes in nothing that follows",
  topK: "the kernel that picks the largest takes in nothing that follows",
  scatterAdd: "the kernel that adds up by index takes in nothing that follows",
  contract: "a general product takes in nothing that follows",
  move: "a copy takes in nothing that follows",
  state: undefined,
};

/** Where no kernel tried to take the other side in. */
function reasonsOfKinds(fused: FusedGraph, producer: NodeId, reader: NodeId): BoundaryReason[] {
  if (!fused.isFused)
    return [{ rule: "fusion", reason: "switched off: every operation is a kernel of its own" }];
  const [from, to] = [producer, reader].map((id) => fused.groups[fused.groupOf[id]!]!) as [
    FusedGroup,
    FusedGroup,
  ];
  const reasons: BoundaryReason[] = [];
  const add = (rule: string, reason: string | undefined) => {
    if (reason !== undefined) reasons.push({ rule, reason });
  };
  const isState = fused.graph.nodes[producer]!.op.startsWith("state");
  if (isState) add("state", "what a state holds is read from its memory");
  else add(`${from.kind} kernel`, givesToMemory[from.kind]);
  add(`${to.kind} kernel`, readsFromMemory[to.kind]);
  if (reasons.length === 0 && to.kind === "matmul") reasons.push(ofMatmul(fused, to, producer, reader));
  if (reasons.length > 0) return reasons;
  const { op } = fused.graph.nodes[reader]!;
  return [{ rule: "order of forming", reason: `${op}: another kernel had taken it in before` }];
}

/** A matmul grows forward from its products and backward from their shared input; nothing else is offered to it. */
function ofMatmul(fused: FusedGraph, to: FusedMatmul, producer: NodeId, reader: NodeId): BoundaryReason {
  const { op, inputs } = fused.graph.nodes[reader]!;
  if (!to.columns.some((one) => one.dots.includes(reader))) {
    return to.prologue.nodes.has(reader)
      ? { rule: "matmul prologue", reason: `${op}: reads what another kernel gives` }
      : { rule: "matmul epilogue", reason: `${op}: takes in what follows its product, and reads the rest` };
  }
  const isWeight = leadsTo(fused, inputs[1]!, producer);
  return isWeight
    ? { rule: "matmul template", reason: `${op}: the weight is read from memory` }
    : {
        rule: "matmul template",
        reason: `${op}: whole rows of the input must be there before the product begins`,
      };
}

/** Whether a value is the other one, or a view of it. */
function leadsTo(fused: FusedGraph, id: NodeId, target: NodeId): boolean {
  if (id === target) return true;
  return fused.groupOf[id] === -1 && inputsOf(fused, id).some((input) => leadsTo(fused, input, target));
}

const distinct = (reasons: readonly BoundaryReason[]): BoundaryReason[] => [
  ...new Map(reasons.map((one) => [`${one.rule}|${one.reason}`, one])).values(),
];
