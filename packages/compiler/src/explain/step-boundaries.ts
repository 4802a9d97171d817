/** Boundaries by the steps of a plan: what each kernel began with, and why the steps before and behind it are others. */
import { formatType, type NodeId } from "@weft/dsl";
import { storedBytes } from "../fusion/classify.ts";
import { type FusedGraph, type FusedGroup, nodesOf, seedOf } from "../fusion/types.ts";
import { formatBytes } from "../print/amounts.ts";
import { type Boundary, type BoundaryReason, boundariesOf, sourceFinder } from "./boundaries.ts";

/** An operation and where it belongs. */
export interface Operation {
  readonly op: string;
  /** Of its block. */
  readonly path: string;
  /** The state that it reads or writes. */
  readonly state?: string;
}

/** A value between a step and another one. */
export interface StepBoundary {
  /** Whether the other step computes the value, or reads it. */
  readonly side: "from" | "to";
  /** Index of the other step. */
  readonly step: number;
  readonly kernel: string;
  readonly value: Operation & { readonly type: string; readonly bytes: number };
  /** What reads the value. */
  readonly readers: readonly Operation[];
  /** Why both are not one kernel; at least one. */
  readonly reasons: readonly BoundaryReason[];
}

export interface StepGrowth {
  /** What the kernel was grown from. */
  readonly begins: Operation;
  /** What it reads of other steps, then what they read of it. */
  readonly boundaries: readonly StepBoundary[];
}

/** A boundary without the groups on its sides. */
type Crossing = Omit<Boundary, "from" | "to">;

/** An output that no kernel writes where it belongs. */
const ofOutputs: BoundaryReason = {
  rule: "output",
  reason: "an input, a view, or a value that is two outputs is copied to the output's own memory",
};

/**
 * For each step what it was grown from and where it ends.
 * @param groups for each step the group that it came from
 * @param kernels for each step the name of its kernel
 */
export function stepGrowths(
  fused: FusedGraph,
  groups: readonly FusedGroup[],
  kernels: readonly string[],
): readonly StepGrowth[] {
  const stepsOf = stepsOfGroups(fused, groups);
  const operation = (id: NodeId): Operation => {
    const { op, origin, attributes } = fused.graph.nodes[id]!;
    const { state } = attributes;
    return { op, path: origin.path, ...(typeof state === "string" ? { state } : {}) };
  };
  const found = groups.map(() => new Map<string, StepBoundary>());
  const say = (
    at: number,
    side: StepBoundary["side"],
    other: number,
    { producer, reader, bytes, reasons }: Crossing,
  ) => {
    const key = `${side} ${other} ${producer}`;
    const before = found[at]!.get(key);
    const value = { ...operation(producer), type: formatType(fused.graph.nodes[producer]!.type), bytes };
    found[at]!.set(key, {
      side,
      step: other,
      kernel: kernels[other]!,
      value,
      readers: distinct([...(before?.readers ?? []), operation(reader)]),
      reasons: distinct([...(before?.reasons ?? []), ...reasons]),
    });
  };
  const link = (from: number | undefined, to: number, crossing: Crossing) => {
    // A state that is written where its value is computed is no step of its own.
    if (from === undefined || from === to) return;
    say(to, "from", from, crossing);
    say(from, "to", to, crossing);
  };
  for (const one of boundariesOf(fused))
    for (const to of stepsOf(one.to)) link(stepsOf(one.from).at(-1), to, one);
  const sourcesOf = sourceFinder(fused);
  for (const { step, node } of outputCopies(fused, groups)) {
    for (const { producer } of sourcesOf([node])) {
      const bytes = storedBytes(fused.graph, producer);
      const crossing = { producer, reader: node, bytes, reasons: [ofOutputs] };
      link(stepsOf(fused.groupOf[producer]!).at(-1), step, crossing);
    }
  }
  return groups.map((group, step) => {
    const all = [...found[step]!.values()];
    const begins = operation(seedOf(group));
    return { begins, boundaries: [...all.filter(isFrom), ...all.filter((one) => !isFrom(one))] };
  });
}

const isFrom = ({ side }: StepBoundary) => side === "from";

const distinct = <A>(all: readonly A[]): A[] => [
  ...new Map(all.map((one) => [JSON.stringify(one), one])).values(),
];

/** The steps of a group; of a state that its value's kernel writes, those of that kernel. */
function stepsOfGroups(
  fused: FusedGraph,
  groups: readonly FusedGroup[],
): (group: number) => readonly number[] {
  const steps = new Map<FusedGroup, number[]>();
  groups.forEach((group, step) => {
    steps.set(group, [...(steps.get(group) ?? []), step]);
  });
  const stepsOf = (index: number): readonly number[] => {
    const group = fused.groups[index];
    const own = group === undefined ? [] : steps.get(group);
    if (own !== undefined || group?.kind !== "state") return own ?? [];
    return stepsOf(groupBehind(fused, fused.graph.nodes[group.node]!.inputs[0]!));
  };
  return stepsOf;
}

/** The group that computes what a value is, or is a view of; -1 for none. */
function groupBehind(fused: FusedGraph, id: NodeId): number {
  const group = fused.groupOf[id]!;
  const [input] = fused.graph.nodes[id]!.inputs;
  return group >= 0 || input === undefined ? group : groupBehind(fused, input);
}

/** Steps that copy an output, and what they copy: no groups of the graph. */
function outputCopies(
  fused: FusedGraph,
  groups: readonly FusedGroup[],
): readonly { readonly step: number; readonly node: NodeId }[] {
  const known = new Set(fused.groups);
  return groups.flatMap((group, step) => (known.has(group) ? [] : [{ step, node: nodesOf(group)[0]! }]));
}

/** Steps that are named of those that read one value for the same reasons. */
const mostSteps = 3;

/**
 * Boundaries in lines: the other step and the value, then a line for each reason. Steps that differ from this one for the
 * same reasons, as those of equal layers do, share their lines.
 */
export function describeBoundaries(boundaries: readonly StepBoundary[]): readonly string[] {
  const alike = new Map<string, StepBoundary[]>();
  for (const one of boundaries) {
    const key = JSON.stringify([one.side, one.value, one.reasons, one.readers.map(({ op }) => op)]);
    alike.set(key, [...(alike.get(key) ?? []), one]);
  }
  return [...alike.values()].flatMap((all) => {
    const [{ side, value, readers, reasons }] = all as [StepBoundary];
    const steps = all.slice(0, mostSteps).map(({ step, kernel }) => `${step} (${kernel})`);
    const more = all.length > mostSteps ? `, and ${all.length - mostSteps} more` : "";
    const reader = `${readers.map(placed).join(", ")}${all.length > 1 ? ", and the like" : ""}`;
    return [
      `${side} step ${steps.join(", ")}${more}: ${placed(value)}, ${value.type}, ${formatBytes(value.bytes)}; for ${reader}`,
      ...reasons.map(({ rule, reason }) => `  not one kernel: ${rule}: ${reason}`),
    ];
  });
}

/** `add of model.layers.0`, `stateAppend of state keys`, or just `add` outside of all blocks. */
export function placed({ op, path, state }: Operation): string {
  if (state !== undefined) return `${op} of state ${state}`;
  return path === "" ? op : `${op} of ${path}`;
}
