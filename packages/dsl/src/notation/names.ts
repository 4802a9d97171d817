/** Short names: the last segment of a path, or as many as it takes to tell two paths apart. */
import { type AnyBlock, childrenOf } from "../blocks/internal.ts";

/** For each name written in a block (paths of `named`, labels of leaves) the shortest ending that no other has. */
export function shortNames(block: AnyBlock): ReadonlyMap<string, string> {
  const names = new Set<string>();
  const labels = new Set<string>();
  collect(block, names, labels, new Set());
  const all = [...new Set([...names, ...labels])];
  const result = new Map<string, string>();
  for (const name of names) {
    const segments = name.split(".");
    let length = 1;
    const ending = () => segments.slice(-length).join(".");
    while (length < segments.length && all.some((other) => other !== name && endsWith(other, ending())))
      length++;
    result.set(name, ending());
  }
  return result;
}

function collect(block: AnyBlock, names: Set<string>, labels: Set<string>, seen: Set<AnyBlock>): void {
  if (seen.has(block)) return;
  seen.add(block);
  const { expression } = block;
  if (expression.tag === "leaf") labels.add(expression.label);
  if (expression.tag === "named") {
    names.add(expression.path);
    // The label of a named leaf is not printed.
    if (expression.block.expression.tag === "leaf") return;
  }
  for (const child of childrenOf(block)) collect(child.block, names, labels, seen);
}

function endsWith(path: string, ending: string): boolean {
  return path === ending || path.endsWith(`.${ending}`);
}
