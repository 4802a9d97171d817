/** The steps of a program: what each moves and computes, and why these nodes are one kernel. */
import {
  type Compiled,
  costOf,
  describeLinearPath,
  type FusedGraph,
  type FusedGroup,
  type LinearPath,
  linearPaths,
  nodesOf,
  type Plan,
  type PlanProgram,
  placed,
  type Refusal,
  rolesOf,
  type StepBoundary,
  stepGrowths,
} from "@weft/compiler";
import { type PackedRows, packRows, type Row } from "../format/rows.ts";
import type { TextTable } from "../format/texts.ts";
import { fixedColumns } from "../format/types.ts";

/** Of a program that was just compiled: which nodes each step computes, why, and why no more. */
export interface StepOrigin {
  readonly nodes: readonly number[];
  readonly reasons: readonly string[];
  readonly boundaries: readonly string[];
}

export function stepOrigins(compiled: Compiled, index: number, device: "cpu" | "cuda"): StepOrigin[] {
  const { fused, name } = compiled.compiled[index]!;
  const { kernels, programs } = compiled.plan;
  const names = programs[index]!.steps.map(({ kernel }) => kernels[kernel]!.name);
  const linears = new Map<number, LinearPath[]>();
  for (const one of linearPaths(compiled, device)) {
    if (one.program !== name) continue;
    const known = linears.get(one.step);
    if (known === undefined) linears.set(one.step, [one]);
    else known.push(one);
  }
  const groups = compiled.groups[index]!;
  const written = writtenInPlace(fused, groups);
  const growths = stepGrowths(fused, groups, names);
  return groups.map((group, step): StepOrigin => {
    const states = written.get(step) ?? [];
    const nodes = [...new Set([...nodesOf(group), ...states])].sort((a, b) => a - b);
    const products = (linears.get(step) ?? []).flatMap(describeLinearPath);
    const inPlace = states.length === 0 ? [] : ["new rows of a state are written by what computes them"];
    const { begins, boundaries } = growths[step]!;
    const grown = nodes.length === 1 ? [] : [`it was grown from ${placed(begins)}`];
    return {
      nodes,
      reasons: [...new Set([...rolesOf(group, fused.graph), ...grown, ...inPlace, ...products])],
      boundaries: [...new Set(boundaries.flatMap(boundaryLines))],
    };
  });
}

/** A text has the number of one layer taken out, so each names one block only. */
const boundaryLines = ({ side, value, readers, reasons }: StepBoundary): string[] => {
  const others =
    side === "from" ? [`reads ${placed(value)}`] : readers.map((one) => `is read by ${placed(one)}`);
  return others.flatMap((other) => reasons.map(({ rule, reason }) => `${other}; ${rule}: ${reason}`));
};

/** States that need no kernel of their own: by the step that computes, and writes, what they are given. */
function writtenInPlace(fused: FusedGraph, groups: readonly FusedGroup[]): ReadonlyMap<number, number[]> {
  const stepOf = new Map(groups.flatMap((group, step) => nodesOf(group).map((id) => [id, step] as const)));
  const written = new Map<number, number[]>();
  for (const id of fused.stored) {
    if (stepOf.has(id)) continue;
    let value: number | undefined = id;
    // Views may stand between.
    while (value !== undefined && !stepOf.has(value)) value = fused.graph.nodes[value]!.inputs[0];
    const step = value === undefined ? undefined : stepOf.get(value);
    if (step !== undefined) written.set(step, [...(written.get(step) ?? []), id]);
  }
  return written;
}

const nothingKnown: StepOrigin = { nodes: [], reasons: [], boundaries: [] };

export function stepRows(
  plan: Plan,
  program: PlanProgram,
  at: Readonly<Record<string, number>>,
  texts: TextTable,
  origins: readonly StepOrigin[] | undefined,
): PackedRows {
  const costs = costOf(plan, program, at);
  const rows = program.steps.map(({ kernel, bindings, origins: paths }, step): Row => {
    const { nodes, reasons, boundaries } = origins?.[step] ?? nothingKnown;
    const { readBytes, writtenBytes, operations } = costs[step]!;
    return [
      kernel,
      bindings.length,
      nodes.length,
      paths.length,
      reasons.length,
      boundaries.length,
      readBytes,
      writtenBytes,
      operations,
      ...bindings,
      ...nodes,
      ...paths.flatMap((path) => texts.add(path)),
      ...[...reasons, ...boundaries].flatMap((text) => texts.add(text)),
    ];
  });
  return packRows(rows, fixedColumns.step);
}

export function refusalRows(refusals: readonly Refusal[], texts: TextTable): PackedRows {
  const rows = refusals.map(({ rule, path, reason }): Row => {
    const [place, why] = [texts.add(path), texts.add(reason)];
    return [texts.addWhole(rule), place[0], why[0], place[1], why[1]];
  });
  return packRows(rows, fixedColumns.refusal);
}
