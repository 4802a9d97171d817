/** Names of kernels from their ops, and the block paths that a step came from. */
import type { Graph, NodeId } from "@weft/dsl";

const words = (name: string) => name.replace(/([a-z])([A-Z])/g, "$1_$2").toLowerCase();

const plain: Readonly<Record<string, string>> = { dot: "matmul", linear: "matmul", gather: "embedding" };

const wordOf = (op: string) => words(plain[op] ?? op);

/** An op, as it was written, and the path of its block. */
export interface KernelPart {
  readonly op: string;
  readonly path: string;
}

/** What a kernel was made of, in order and each once: composites as one, casts left out. */
export function partsOf(graph: Graph, nodes: readonly NodeId[]): KernelPart[] {
  const parts: KernelPart[] = [];
  const seen = new Set<string>();
  for (const id of [...nodes].sort((a, b) => a - b)) {
    const { op: own, origin } = graph.nodes[id]!;
    const op = origin.composite ?? own;
    const place = `${wordOf(op)}@${origin.path}`;
    if (op === "cast" || seen.has(place)) continue;
    seen.add(place);
    parts.push({ op, path: origin.path });
  }
  return parts;
}

/** `rms_norm_matmul_rope`: the ops in order, runs of equal ones once, layer numbers left out. */
export function kernelName(graph: Graph, nodes: readonly NodeId[]): string {
  const parts: string[] = [];
  for (const { op } of partsOf(graph, nodes)) {
    const word = wordOf(op);
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
