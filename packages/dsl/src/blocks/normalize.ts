/**
 * Normal forms. `normalize` applies what holds in every category: chains are flat and `id` is not in them; a path in a
 * path is one path, and `merge`, which only marks, is gone. `normalizeProducts` also applies what holds of products:
 *   split(f, g) ->> split(h, k)     is  split(f ->> h, g ->> k)
 *   parallel(f, g) ->> split(h, k)  is  parallel(f ->> h, g ->> k)
 *   split(id, id)                   is  id
 */
import { asBlock, type BlockLike, chainBlocks, makeBlock, nameBlock } from "./block.ts";
import { id, parallelOf, splitOf } from "./combinators.ts";
import type { AnyBlock } from "./types.ts";

type ChainRule = (left: AnyBlock, right: AnyBlock) => AnyBlock | undefined;

/**
 * The block in categorical normal form: the same function and the same parameters. Source lines of combinators are
 * dropped, those of leaves stay.
 * @example normalize(chain(chain(a, id), b)); // chain(a, b)
 */
export function normalize(block: AnyBlock | BlockLike): AnyBlock {
  return rewrite(asBlock(block, "normalize"), () => undefined);
}

/** The block in normal form under the laws of products as well. */
export function normalizeProducts(block: AnyBlock | BlockLike): AnyBlock {
  return rewrite(asBlock(block, "normalize"), pairUp);
}

/** Whether two blocks are put together in the same way from the same leaves; source lines do not count. */
export function blockEquals(a: AnyBlock | BlockLike, b: AnyBlock | BlockLike): boolean {
  return sameData(asBlock(a, "blockEquals").expression, asBlock(b, "blockEquals").expression);
}

function rewrite(block: AnyBlock, rule: ChainRule): AnyBlock {
  const { expression } = block;
  switch (expression.tag) {
    case "id":
    case "leaf":
      return block;
    case "chain":
      return chainRow(expression.blocks, rule);
    case "parallel":
      return parallelOf(expression.blocks.map((one) => rewrite(one, rule)));
    case "split": {
      const parts = expression.blocks.map((one) => rewrite(one, rule));
      return rule === pairUp && parts.every(isId) ? id : splitOf(parts);
    }
    case "merge":
      return rewrite(expression.block, rule);
    case "named": {
      const inner = rewrite(expression.block, rule);
      return inner.expression.tag === "named"
        ? nameBlock(`${expression.path}.${inner.expression.path}`, inner.expression.block)
        : nameBlock(expression.path, inner);
    }
    case "residual":
    case "stage":
      return makeBlock(block.input, block.output, {
        ...expression,
        block: rewrite(expression.block, rule),
      });
    case "repeat": {
      const blocks: AnyBlock[] = [];
      for (const [index, one] of expression.blocks.entries()) {
        const equal = index > 0 && blockEquals(expression.blocks[index - 1]!, one);
        blocks.push(equal ? blocks[index - 1]! : rewrite(one, rule));
      }
      return makeBlock(block.input, block.output, { ...expression, blocks: Object.freeze(blocks) });
    }
    default:
      return expression satisfies never;
  }
}

/** A flat row of blocks without `id`, neighbours joined where the rule says so. */
function chainRow(blocks: readonly AnyBlock[], rule: ChainRule): AnyBlock {
  const row: AnyBlock[] = [];
  const append = (block: AnyBlock): void => {
    if (block.expression.tag === "chain") {
      for (const one of block.expression.blocks) append(one);
      return;
    }
    if (isId(block)) return;
    const previous = row.at(-1);
    const joined = previous === undefined ? undefined : rule(previous, block);
    if (joined === undefined) {
      row.push(block);
    } else {
      row.pop();
      append(joined);
    }
  };
  for (const one of blocks) append(rewrite(one, rule));
  return row.length === 0 ? id : row.length === 1 ? row[0]! : chainBlocks(row);
}

const pairUp: ChainRule = (left, right) => {
  const [from, to] = [left.expression, right.expression];
  if (to.tag !== "split" || (from.tag !== "split" && from.tag !== "parallel")) return undefined;
  const parts = from.blocks.map((one, index) => chainRow([one, to.blocks[index]!], pairUp));
  return from.tag === "parallel" ? parallelOf(parts) : parts.every(isId) ? id : splitOf(parts);
};

function isId(block: AnyBlock): boolean {
  return block.expression.tag === "id";
}

/** Deep equality of plain data; of a block only its expression counts, since its wires follow from it. */
function sameData(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if ("expression" in a && "expression" in b && "input" in a && "input" in b) {
    return sameData(a.expression, b.expression);
  }
  const [left, right] = [Object.entries(a), Object.entries(b)];
  const other = b as Readonly<Record<string, unknown>>;
  return (
    left.length === right.length && left.every(([key, value]) => key in other && sameData(value, other[key]))
  );
}
