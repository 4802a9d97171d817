/** What a block takes and gives. */
import { asBlock, type BlockLike, formatWire } from "../blocks/internal.ts";
import type { AnyBlock, WireSpec } from "../blocks/types.ts";
import { TestFailure } from "./failure.ts";

/**
 * Asserts the wires of a block, written as errors print them: what it takes, an arrow, what it gives. Sizes are compared
 * on a side that states some.
 * @throws TestFailure that shows both.
 * @example
 * assertWires(mlp, "[..., hidden] -> [..., hidden]");
 * assertWires(heads, "[..., hidden=64] -> ([..., heads=4, headDim=16], [..., kvHeads=2, headDim=16])");
 */
export function assertWires(block: AnyBlock | BlockLike, expected: string): void {
  const { input, output } = asBlock(block, "assertWires");
  const sides = expected.split("->").map((side) => side.replace(/\s+/g, " ").trim());
  if (sides.length !== 2) {
    throw new TestFailure(
      `assertWires: wires are written as "[..., hidden] -> [..., hidden]"; given ${JSON.stringify(expected)}`,
    );
  }
  const [takes, gives] = sides as [string, string];
  const actual = `${spell(input, takes)} -> ${spell(output, gives)}`;
  if (actual === `${takes} -> ${gives}`) return;
  throw new TestFailure(
    `assertWires: the block does not take and give what is expected\n  expected ${takes} -> ${gives}\n  actual   ${actual}`,
  );
}

const spell = (wire: WireSpec, like: string): string => formatWire(wire, { sizes: like.includes("=") });
