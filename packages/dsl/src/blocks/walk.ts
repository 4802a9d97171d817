/** Visiting the leaves of a block with their absolute paths. */
import type { AnyBlock, LeafExpression } from "./types.ts";

/** A leaf where it stands: its absolute path and the block that holds it. */
export interface PlacedLeaf {
  readonly path: string;
  readonly leaf: LeafExpression;
  readonly block: AnyBlock;
}

export function joinPath(prefix: string, name: string): string {
  return prefix === "" ? name : name === "" ? prefix : `${prefix}.${name}`;
}

/** The blocks directly inside, in order, each with the path that it adds. */
export function childrenOf(block: AnyBlock): readonly { readonly path: string; readonly block: AnyBlock }[] {
  const { expression } = block;
  switch (expression.tag) {
    case "id":
    case "leaf":
      return [];
    case "chain":
    case "parallel":
    case "split":
      return expression.blocks.map((one) => ({ path: "", block: one }));
    case "repeat":
      return expression.blocks.map((one, index) => ({ path: `${expression.prefix}.${index}`, block: one }));
    case "named":
      return [{ path: expression.path, block: expression.block }];
    case "merge":
    case "residual":
    case "stage":
      return [{ path: "", block: expression.block }];
    default:
      return expression satisfies never;
  }
}

/**
 * All leaves in the order in which they run.
 * @example for (const { path, leaf } of leavesOf(model)) console.log(path, leaf.op);
 */
export function* leavesOf(block: AnyBlock, path = ""): Generator<PlacedLeaf> {
  if (block.expression.tag === "leaf") yield { path, leaf: block.expression, block };
  for (const child of childrenOf(block)) yield* leavesOf(child.block, joinPath(path, child.path));
}
