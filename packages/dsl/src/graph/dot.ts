/** A graph as a Graphviz picture. */
import { type Box, type Cluster, type DrawOptions, drawGraph } from "./drawing.ts";
import type { Graph } from "./types.ts";

/**
 * The DOT text of a graph: clusters by block path, values as arrows. Never throws.
 * @example writeFileSync("graph.dot", graphToDot(graph, { fold: true })); // dot -Tsvg graph.dot
 */
export function graphToDot(graph: Graph, options: DrawOptions = {}): string {
  const { root, arrows } = drawGraph(graph, options);
  const lines = [
    `digraph ${quotedForDot([root.label])} {`,
    '  node [shape=box, fontname="sans-serif", fontsize=10];',
    '  edge [fontname="sans-serif", fontsize=8];',
  ];
  let count = 0;
  const write = (cluster: Cluster, pad: string) => {
    for (const box of cluster.boxes)
      lines.push(`${pad}${box.id} [label=${quotedForDot(box.lines)}${styleOf(box)}];`);
    for (const child of cluster.clusters) {
      lines.push(`${pad}subgraph cluster_${count++} {`, `${pad}  label=${quotedForDot([child.label])};`);
      write(child, `${pad}  `);
      lines.push(`${pad}}`);
    }
  };
  write(root, "  ");
  for (const { from, to, label, next } of arrows) {
    const settings = [
      ...(label === undefined ? [] : [`label=${quotedForDot([label])}`]),
      ...(next ? ["style=dashed", "constraint=false"] : []),
    ];
    lines.push(`  ${from} -> ${to}${settings.length === 0 ? "" : ` [${settings.join(", ")}]`};`);
  }
  return `${lines.join("\n")}\n}\n`;
}

function styleOf({ kind }: Box): string {
  return kind === "leaf" ? ", style=filled, fillcolor=gray95" : kind === "output" ? ", shape=oval" : "";
}

/** A quoted DOT string: backslashes and quotes escaped, lines broken, characters that nothing can draw replaced. */
export function quotedForDot(lines: readonly string[]): string {
  const escaped = lines.map((line) =>
    line
      .replaceAll("\\", "\\\\")
      .replaceAll('"', '\\"')
      .replace(/\r\n?|\n/g, "\\n")
      .replace(/\p{Cc}|\p{Cs}/gu, "\ufffd"),
  );
  return `"${escaped.join("\\n")}"`;
}
