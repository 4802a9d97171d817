/** A graph as a Mermaid flowchart, which Markdown pages show as a picture. */
import { type Box, type Cluster, type DrawOptions, drawGraph } from "./drawing.ts";
import type { Graph } from "./types.ts";

/**
 * The Mermaid text of a graph: subgraphs by block path, values as arrows. Never throws.
 * @example console.log("```mermaid\n" + graphToMermaid(graph, { fold: true }) + "```");
 */
export function graphToMermaid(graph: Graph, options: DrawOptions = {}): string {
  const { root, arrows } = drawGraph(graph, options);
  const lines = ["flowchart TD"];
  let count = 0;
  const write = (cluster: Cluster, pad: string) => {
    for (const box of cluster.boxes) lines.push(`${pad}${shaped(box)}`);
    for (const child of cluster.clusters) {
      lines.push(`${pad}subgraph c${count++}[${quotedForMermaid([child.label])}]`);
      write(child, `${pad}  `);
      lines.push(`${pad}end`);
    }
  };
  write(root, "  ");
  for (const { from, to, label, next } of arrows) {
    const text = label === undefined ? "" : `|${quotedForMermaid([label])}|`;
    lines.push(`  ${from} ${next ? "-.->" : "-->"}${text} ${to}`);
  }
  return `${lines.join("\n")}\n`;
}

function shaped({ id, lines, kind }: Box): string {
  const label = quotedForMermaid(lines);
  return kind === "leaf" ? `${id}[(${label})]` : kind === "output" ? `${id}([${label}])` : `${id}[${label}]`;
}

/** A quoted Mermaid string: signs that mean something to Mermaid, to Markdown or to HTML are its numbered entities. */
export function quotedForMermaid(lines: readonly string[]): string {
  const escaped = lines.map((line) =>
    line
      .replace(/\r\n?/g, "\n")
      .replace(/\p{Cs}|[^\P{Cc}\n]/gu, "\ufffd")
      .replace(/["#<>&\\`*_{}[\]()|;~$%]/g, (sign) => `#${sign.codePointAt(0)};`)
      .replaceAll("\n", "<br/>"),
  );
  return `"${escaped.join("<br/>")}"`;
}
