/** Names of kernels from their ops, and the block paths that a step came from. */
import type { Graph, NodeId } from "@weft/dsl";

const words = (name: string) => name.replace(/([a-z])([A-Z])/g, "$1_$2").toLowerCase();

const plain: Readonly<Record<string, string>> = { dot: "matmul", linear: "matmul", gather: "embedding" };

/** `rms_norm_matmul_rope`: the ops in order, runs of equal ones once, layer numbers left out. */
export function kernelName(graph: Graph, nodes: readonly NodeId[]): string {
  const parts: string[] = [];
  const seen = new Set<string>();
  for (const id of [...nodes].sort((a, b) => a - b)) {
    const node = graph.nodes[id]!;
    const op = node.origin.composite ?? node.op;
    const word = words(plain[op] ?? op);
    const place = `${word}@${node.origin.path}`;
    if (word === "cast" || seen.has(place)) continue;
    seen.add(place);
    if (parts.at(-1) !== word) parts.push(word);
  }
  const all = parts.length === 0 ? ["cast"] : parts;
  return all.length <= 8 ? all.join("_") : [...all.slice(0, 8), "etc"].join("_");
}

/** Distinct paths in graph order. */
export function originsOf(graph: Graph, nodes: readonly NodeId[]): string[] {
  const paths = new Set<string>();
  for (const id of [...nodes].sort((a, b) => a - b)) {
    const { path } = graph.nodes[id]!.origin;
    if (path !== "") paths.add(path);
  }
  return [...paths];
}
