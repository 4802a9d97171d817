/** What differs between two graphs: nodes by their blocks, and what goes in and comes out. */
import {
  differenceOfTexts,
  formatType,
  type Graph,
  type GraphNode,
  type Layer,
  matchGraphs,
  type NodeId,
  printOperation,
} from "@weft/dsl";
import { commonLayer, foldChanges, relativeTo } from "./layers.ts";
import { differenceOfNames, type Named } from "./named.ts";
import type { BlockChange, Figures, GraphDifference, NamedChange, SignedLine } from "./types.ts";

/**
 * The difference between two graphs. Nodes are paired by op, place, type and attributes, then by op and place; one that
 * reads something else has changed. Equal changes of several layers are one.
 */
export function differenceOfGraphs(before: Graph, after: Graph): GraphDifference {
  const matches = matchGraphs(before, after);
  const known = new Set(matches.map((one) => one.before));
  const blocks = new Map<string, Block>();
  const blockOf = ({ origin }: GraphNode): Block => {
    const made = blocks.get(origin.path) ?? { added: 0, gone: 0, changed: 0, lines: [] };
    blocks.set(origin.path, made);
    return made;
  };
  const say = (block: Block, sign: SignedLine["sign"], graph: Graph, node: GraphNode) => {
    block.lines.push({ sign, line: lineOf(graph, node) });
  };
  const partnerOf = new Map(matches.map((one, id) => [one.before, id] as const));
  for (const node of before.nodes) {
    if (isNamed(node)) continue;
    const partner = known.has(node.id) ? partnerOf.get(node.id)! : undefined;
    if (partner !== undefined && matches[partner]!.state === "same") continue;
    const block = blockOf(node);
    say(block, "-", before, node);
    if (partner === undefined) block.gone++;
    else {
      say(block, "+", after, after.nodes[partner]!);
      block.changed++;
    }
  }
  for (const node of after.nodes) {
    if (isNamed(node) || matches[node.id]!.state !== "added") continue;
    const block = blockOf(node);
    say(block, "+", after, node);
    block.added++;
  }
  const ports = portsOf(before, after);
  return difference(before.name, after.name, sizes(before.nodes, after.nodes), ports, [...blocks]);
}

/**
 * The same for texts in which equal layers are printed once, which hold no graph to be read: by their lines, of which
 * one that reads something else counts as gone and added.
 */
export function differenceOfGraphTexts(before: string, after: string): GraphDifference {
  const blocks: [path: string, block: Block][] = [];
  for (const { sign, line, path } of differenceOfTexts(before, after)) {
    if (blocks.at(-1)?.[0] !== path) blocks.push([path, { added: 0, gone: 0, changed: 0, lines: [] }]);
    const block = blocks.at(-1)![1];
    block.lines.push({ sign, line });
    block[sign === "-" ? "gone" : "added"]++;
  }
  const nodes = (text: string) => text.match(/^\s*%\d+ = /gm) ?? [];
  return difference(nameIn(before), nameIn(after), sizes(nodes(before), nodes(after)), [], blocks);
}

const nameIn = (text: string) => /^graph (\S+)/.exec(text)?.[1] ?? "";

interface Block {
  added: number;
  gone: number;
  changed: number;
  readonly lines: SignedLine[];
}

const sizes = (before: readonly unknown[], after: readonly unknown[]): Figures => ({
  before: before.length,
  after: after.length,
});

function difference(
  before: string,
  after: string,
  nodes: Figures,
  ports: readonly NamedChange[],
  blocks: readonly (readonly [path: string, block: Block])[],
): GraphDifference {
  const count = (of: "added" | "gone" | "changed") => blocks.reduce((sum, [, block]) => sum + block[of], 0);
  return {
    name: { before, after },
    same: blocks.length + ports.length === 0,
    nodes,
    added: count("added"),
    gone: count("gone"),
    changed: count("changed"),
    ports,
    blocks: foldChanges(
      blocks.map(relativeBlock),
      ([change], folded): BlockChange => ({ ...change, ...folded }),
    ),
  };
}

function relativeBlock([path, { lines, ...counts }]: readonly [path: string, block: Block]) {
  const layer: Layer | undefined = commonLayer([path]);
  const change = {
    path: relativeTo(layer, path),
    ...counts,
    lines: lines.map(({ sign, line }) => ({ sign, line: relativeTo(layer, line) })),
  };
  return { key: JSON.stringify(change), layer, change };
}

/** Inputs and parameters are told by their names. */
const isNamed = ({ op }: GraphNode) => op === "input" || op === "parameter";

/** A node by what it computes; inputs by their names or, as numbers shift, by their ops. */
function lineOf({ nodes }: Graph, node: GraphNode): string {
  return printOperation(node, (id: NodeId) => {
    const { op, attributes } = nodes[id]!;
    const name = attributes.name ?? attributes.state;
    return typeof name === "string" ? name : op;
  });
}

function portsOf(before: Graph, after: Graph): NamedChange[] {
  const named = (of: (graph: Graph) => Named) => [of(before), of(after)] as const;
  const typeOf = ({ nodes }: Graph, id: NodeId) => formatType(nodes[id]!.type);
  const nodesOf = (op: "input" | "parameter") =>
    named(
      ({ nodes }) =>
        new Map(
          nodes.flatMap((node) =>
            node.op === op ? [[String(node.attributes.name), formatType(node.type)] as const] : [],
          ),
        ),
    );
  return [
    ...differenceOfNames(
      "symbol",
      ...named(({ symbols }) => new Map(symbols.map(({ name, max, sum }) => [name, bound(max, sum)]))),
    ),
    ...differenceOfNames(
      "state",
      ...named(({ states }) => new Map(states.map(({ name, type }) => [name, formatType(type)]))),
    ),
    ...differenceOfNames("input", ...nodesOf("input")),
    ...differenceOfNames("parameter", ...nodesOf("parameter")),
    ...differenceOfNames(
      "output",
      ...named((graph) => new Map(graph.outputs.map(({ name, node }) => [name, typeOf(graph, node)]))),
    ),
  ];
}

const bound = (max: number, sum: readonly string[] = []) =>
  `at most ${max}${sum.length === 0 ? "" : `, ${sum.join(" + ")}`}`;
