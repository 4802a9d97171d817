/** Names: a path for parameters, a label for readers. */
import {
  asBlock,
  type Block,
  type BlockLike,
  blockError,
  type InputOf,
  makeBlock,
  nameBlock,
  type OutputOf,
} from "./block.ts";
import { captureSite } from "./source.ts";

/**
 * The same block under a path: parameters inside are named `path.` and their own name.
 * @throws WeftError when the path is not names joined by dots.
 * @example named("model", chain(embed, layers));
 */
export function named<B extends BlockLike>(path: string, block: B): Block<InputOf<B>, OutputOf<B>> {
  return nameBlock(path, block, captureSite(named)) as Block<InputOf<B>, OutputOf<B>>;
}

/**
 * The same block with a label for summaries, graphs and profiles. Parameter names do not change.
 * @example stage("attention", residual(attention));
 */
export function stage<B extends BlockLike>(label: string, block: B): Block<InputOf<B>, OutputOf<B>> {
  const inner = asBlock(block, "stage");
  if (!/^[\w-]+$/.test(label)) throw blockError("stage", "a label is one word", JSON.stringify(label));
  return makeBlock(
    inner.input,
    inner.output,
    { tag: "stage", label, block: inner },
    captureSite(stage),
  ) as Block<InputOf<B>, OutputOf<B>>;
}
