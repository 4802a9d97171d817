/** The graph after every pass, each node with what it was before. */
import type { CompiledProgram } from "@weft/compiler";
import { type Attributes, formatType, type Graph, matchGraphs, type NodeId, type NodeMatch } from "@weft/dsl";
import { packRows, type Row } from "../format/rows.ts";
import type { TextTable } from "../format/texts.ts";
import { addedNode, changedNode, fixedColumns, type StageView, sameNode } from "../format/types.ts";

const states = { same: sameNode, changed: changedNode, added: addedNode } as const;

export function stagesOf({ records, fused }: CompiledProgram, texts: TextTable): readonly StageView[] {
  const first = records[0]?.before ?? fused.graph;
  const stages: StageView[] = [
    stage(texts, { pass: "given", summary: "The graph as the passes were given it.", graph: first }, []),
  ];
  let before = first;
  for (const { pass, summary, after, fired } of records) {
    const rules = [...fired].map(([rule, places]) => [rule, places.length] as const);
    stages.push(stage(texts, { pass, summary, graph: after, before }, rules));
    before = after;
  }
  const summary = "The graph as kernels were formed on it.";
  const rules = [...fused.fired].map(([rule, places]) => [rule, places.length] as const);
  const last = { pass: "fuse", summary, graph: fused.graph, before, stored: fused.stored };
  return [...stages, stage(texts, last, rules)];
}

interface Stage {
  readonly pass: string;
  readonly summary: string;
  readonly graph: Graph;
  readonly before?: Graph;
  readonly stored?: ReadonlySet<NodeId>;
}

function stage(
  texts: TextTable,
  { pass, summary, graph, before, stored }: Stage,
  rules: StageView["rules"],
): StageView {
  const matches = before === undefined ? undefined : matchGraphs(before, graph);
  const outputs = graph.outputs.map(({ name, node }) => [name, node] as const);
  const isSame =
    before?.nodes.length === graph.nodes.length &&
    matches!.every((one, id) => one.before === id && one.state === "same");
  const nodes = isSame && stored === undefined ? null : nodeRows(texts, graph, matches, stored);
  return { pass, summary, rules, nodes, outputs };
}

function nodeRows(
  texts: TextTable,
  graph: Graph,
  matches: readonly NodeMatch[] | undefined,
  stored: ReadonlySet<NodeId> | undefined,
) {
  const rows = graph.nodes.map(({ id, op, origin, type, attributes, inputs }): Row => {
    const path = texts.add(origin.path);
    const written = texts.add(attributesText(attributes));
    // The first graph has nothing before it, and nothing in it is new.
    const { before, state } = matches?.[id] ?? { before: id, state: "same" };
    return [
      texts.addWhole(op),
      path[0],
      texts.addWhole(formatType(type)),
      written[0],
      texts.addWhole(origin.composite ?? ""),
      texts.addWhole(origin.source ?? ""),
      path[1],
      written[1],
      before,
      states[state],
      stored?.has(id) === true ? 1 : 0,
      ...inputs,
    ];
  });
  return packRows(rows, fixedColumns.node);
}

/** Longer values are tables of constants, which nobody reads. */
const longest = 240;

function attributesText(attributes: Attributes): string {
  const text = JSON.stringify(attributes, (_, value) =>
    typeof value === "number" && !Number.isFinite(value) ? String(value) : value,
  );
  return text.length > longest ? `${text.slice(0, longest)}...` : text;
}
