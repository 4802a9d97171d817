/** A block in a few words, for the middle of an error message. The full text is `printBlock` of the notation. */
import type { AnyBlock } from "./types.ts";

/** `mlp.gate_proj`, `silu`, `input_layernorm ->> ... ->> o_proj`, `residual(...)`. */
export function describeBlock(block: AnyBlock): string {
  const { expression } = block;
  switch (expression.tag) {
    case "id":
      return "id";
    case "leaf":
      return expression.label;
    case "chain": {
      const [first, last] = [expression.blocks[0]!, expression.blocks.at(-1)!];
      const ends = [describeBlock(first), describeBlock(last)];
      return expression.blocks.length === 1
        ? ends[0]!
        : ends.join(expression.blocks.length > 2 ? " ->> ... ->> " : " ->> ");
    }
    case "parallel":
    case "split":
      return `${expression.tag} of ${expression.blocks.length}`;
    case "merge":
      return describeBlock(expression.block);
    case "residual":
      return `residual(${describeBlock(expression.block)})`;
    case "repeat":
    case "named":
      return expression.tag === "named" ? expression.path : expression.prefix;
    case "stage":
      return expression.label;
    default:
      return expression satisfies never;
  }
}
