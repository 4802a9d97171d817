/** Why operations of a block are in a kernel: the part that they play in it. */
import type { Graph, NodeId } from "@weft/dsl";
import { type FusedGroup, type FusedMatmul, nodesOf } from "../fusion/types.ts";

/** One sentence for each part that operations of the block at `path` play in this group; without a path, of any block. */
export function rolesOf(group: FusedGroup, graph: Graph, path?: string): readonly string[] {
  const own = (id: NodeId) => {
    const place = graph.nodes[id]!.origin.path;
    return path === undefined || place === path || place.startsWith(`${path}.`);
  };
  switch (group.kind) {
    case "rows":
      return [
        nodesOf(group).length === 1
          ? "one operation over rows"
          : "operations over the same rows run in one loop, row by row",
      ];
    case "matmul":
      return matmulRoles(group, own);
    case "attention":
      return ["attention has a kernel of its own: scores are weighed as they come and never stored"];
    case "attentionForward":
      return [
        "attention and the sum of its weights' exponentials, which its gradient computes them again from",
      ];
    case "attentionBackward":
      return [
        "the gradients of queries, keys and values together: weights are computed again and never stored",
      ];
    case "topK":
      return ["the largest of a row are picked by a kernel of its own, which keeps a list in each warp"];
    case "lossHead":
      return ["a linear layer with its loss goes through the positions in chunks: whole scores never exist"];
    case "scatterAdd":
      return [
        group.sum === undefined
          ? "rows are added up where their indices say, each sum in the order of the positions"
          : "rows are added onto the other gradient of the same table, in place where its memory is free",
      ];
    case "contract":
      return ["a product that the matrix template does not fit"];
    case "move":
      return ["a layout that strides cannot say has to be copied"];
    case "state":
      return ["rows of a state that no other kernel can write in place"];
    default:
      return group satisfies never;
  }
}

function matmulRoles(group: FusedMatmul, own: (id: NodeId) => boolean): readonly string[] {
  const roles: string[] = [];
  if ([...group.prologue.nodes].some(own)) {
    roles.push("prologue: rows are computed where the product reads them, and not stored");
  }
  const products = group.columns.flatMap((one) => one.dots);
  if (products.some(own)) {
    const others = products.length - products.filter(own).length;
    const siblings =
      others === 0
        ? ""
        : `, beside ${others === 1 ? "one" : others} of other blocks that read${others === 1 ? "s" : ""} the same input`;
    roles.push(`product with its weights${siblings}`);
  }
  const epilogue = group.columns.some((one) =>
    [...one.nodes].some((id) => !one.dots.includes(id) && own(id)),
  );
  if (epilogue) roles.push("epilogue: applied to the product's rows before they are stored");
  return roles;
}
