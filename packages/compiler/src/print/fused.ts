/** Fused graphs as text: which nodes each kernel took in, what it stores, and what was refused. */
import { formatType, type NodeId, oneLine } from "@weft/dsl";
import { type FusedGraph, type FusedGroup, nodesOf } from "../fusion/types.ts";
import { foldRuns } from "./fold.ts";

function describeNodes(fused: FusedGraph, nodes: Iterable<NodeId>): string {
  return [...nodes]
    .sort((a, b) => a - b)
    .map((id) => `%${id} ${fused.graph.nodes[id]!.op}`)
    .join(", ");
}

/** The same for equal layers: ops without ids, path numbers left out. */
function shapeOf(fused: FusedGraph, group: FusedGroup): string {
  const parts = nodesOf(group).map((id) => {
    const node = fused.graph.nodes[id]!;
    return `${node.op}:${formatType(node.type)}:${node.origin.path.replace(/\.\d+(?=\.|$)/g, ".#")}`;
  });
  return `${group.kind}|${parts.join("|")}`;
}

function printGroup(fused: FusedGraph, index: number, indent: string): string[] {
  const group = fused.groups[index]!;
  const lines = [`${indent}${index}: ${group.kind}`];
  switch (group.kind) {
    case "rows":
      lines.push(`${indent}    ${describeNodes(fused, group.nodes)}`);
      break;
    case "matmul":
      if (group.prologue.nodes.size > 0)
        lines.push(`${indent}    prologue ${describeNodes(fused, group.prologue.nodes)}`);
      for (const columns of group.columns)
        lines.push(`${indent}    columns ${describeNodes(fused, columns.nodes)}`);
      break;
    default:
      lines.push(`${indent}    ${describeNodes(fused, nodesOf(group))}`);
  }
  for (const id of nodesOf(group)) {
    if (!fused.stored.has(id)) continue;
    const { type, origin } = fused.graph.nodes[id]!;
    lines.push(
      `${indent}    stores %${id} ${formatType(type)}${origin.path === "" ? "" : ` of ${oneLine(origin.path)}`}`,
    );
  }
  return lines;
}

export function printFused(fused: FusedGraph, options: { readonly unfolded?: boolean } = {}): string {
  const keys = fused.groups.map((group) => shapeOf(fused, group));
  const runs =
    options.unfolded === true ? keys.map((_, start) => ({ start, length: 1, times: 1 })) : foldRuns(keys);
  const lines = [
    `fused ${oneLine(fused.graph.name)}: ${fused.graph.nodes.length} nodes in ${fused.groups.length} groups`,
  ];
  for (const run of runs) {
    if (run.times > 1) lines.push(`  x${run.times}, ${run.length} groups each:`);
    for (let i = 0; i < run.length; i++)
      lines.push(...printGroup(fused, run.start + i, run.times > 1 ? "    " : "  "));
  }
  const refusals = new Map<string, string[]>();
  for (const one of fused.refusals) {
    const key = `${one.rule}: ${one.reason}`;
    const paths = refusals.get(key);
    if (paths === undefined) refusals.set(key, [one.path]);
    else paths.push(one.path);
  }
  if (refusals.size > 0) lines.push("refused:");
  for (const [reason, paths] of refusals) {
    const first = paths.slice(0, 2).map(oneLine).join(", ");
    const places = paths.length <= 2 ? first : `${first}, ... (${paths.length})`;
    lines.push(`  ${reason} (${places})`);
  }
  return lines.join("\n");
}
