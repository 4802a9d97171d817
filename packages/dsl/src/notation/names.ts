/**
 * Short names of leaves: the last segment of a path, or as many as it takes to tell two paths apart. Leaves that differ
 * and would still read alike, such as two kinds of `rope`, are `rope` and `rope~2`, so that a text means one block.
 */
import { type AnyBlock, blockEquals, childrenOf } from "../blocks/internal.ts";

/** The name of each leaf of a block in normal form; a leaf with a path of its own is the block that gives it the path. */
export function leafNames(block: AnyBlock): ReadonlyMap<AnyBlock, string> {
  const leaves = new Set<AnyBlock>();
  collect(block, leaves, new Set());
  const fullNames = new Set([...leaves].map(fullName));
  const names = new Map<AnyBlock, string>();
  // `id` is what gives its input.
  const different = new Map<string, (AnyBlock | undefined)[]>([["id", [undefined]]]);
  for (const leaf of leaves) {
    const short = shortest(fullName(leaf), fullNames);
    const known = different.get(short) ?? [];
    different.set(short, known);
    let at = known.findIndex((other) => other !== undefined && blockEquals(other, leaf));
    if (at < 0) at = known.push(leaf) - 1;
    names.set(leaf, at === 0 ? short : `${short}~${at + 1}`);
  }
  return names;
}

/** The path of a leaf that has one, or its label. */
function fullName({ expression }: AnyBlock): string {
  if (expression.tag === "named") return expression.path;
  return expression.tag === "leaf" ? expression.label : "";
}

function shortest(name: string, all: ReadonlySet<string>): string {
  const segments = name.split(".");
  let length = 1;
  const ending = () => segments.slice(-length).join(".");
  while (length < segments.length && [...all].some((other) => other !== name && endsWith(other, ending())))
    length++;
  return ending();
}

function collect(block: AnyBlock, leaves: Set<AnyBlock>, seen: Set<AnyBlock>): void {
  if (seen.has(block)) return;
  seen.add(block);
  const { expression } = block;
  const named = expression.tag === "named" && expression.block.expression.tag === "leaf";
  if (named || expression.tag === "leaf") leaves.add(block);
  else for (const child of childrenOf(block)) collect(child.block, leaves, seen);
}

function endsWith(path: string, ending: string): boolean {
  return path === ending || path.endsWith(`.${ending}`);
}
