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
  type Refusal,
  rolesOf,
} from "@weft/compiler";
import { type PackedRows, packRows, type Row } from "../format/rows.ts";
import type { TextTable } from "../format/texts.ts";
import { fixedColumns } from "../format/types.ts";

/** Of a program that was just compiled: which nodes each step computes, and why. */
export interface StepOrigin {
  readonly nodes: readonly number[];
  readonly reasons: readonly string[];
}

export function stepOrigins(compiled: Compiled, index: number, device: "cpu" | "cuda"): StepOrigin[] {
  const { fused, name } = compiled.compiled[index]!;
  const linears = new Map<number, LinearPath[]>();
  for (const one of linearPaths(compiled, device)) {
    if (one.program !== name) continue;
    const known = linears.get(one.step);
    if (known === undefined) linears.set(one.step, [one]);
    else known.push(one);
  }
  const groups = compiled.groups[index]!;
  const written = writtenInPlace(fused, groups);
  return groups.map((group, step): StepOrigin => {
    const states = written.get(step) ?? [];
    const nodes = [...new Set([...nodesOf(group), ...states])].sort((a, b) => a - b);
    const products = (linears.get(step) ?? []).flatMap(describeLinearPath);
    const inPlace = states.length === 0 ? [] : ["new rows of a state are written by what computes them"];
    return { nodes, reasons: [...new Set([...rolesOf(group, fused.graph), ...inPlace, ...products])] };
  });
}

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

export function stepRows(
  plan: Plan,
  program: PlanProgram,
  at: Readonly<Record<string, number>>,
  texts: TextTable,
  origins: readonly StepOrigin[] | undefined,
): PackedRows {
  const costs = costOf(plan, program, at);
  const rows = program.steps.map(({ kernel, bindings, origins: paths }, step): Row => {
    const { nodes, reasons } = origins?.[step] ?? { nodes: [], reasons: [] };
    const { readBytes, writtenBytes, operations } = costs[step]!;
    return [
      kernel,
      bindings.length,
      nodes.length,
      paths.length,
      reasons.length,
      readBytes,
      writtenBytes,
      operations,
      ...bindings,
      ...nodes,
      ...paths.flatMap((path) => texts.add(path)),
      ...reasons.flatMap((reason) => texts.add(reason)),
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
