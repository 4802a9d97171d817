/** Blocks form a category: objects are wires, `chain` composes, `id` is the identity. */
import type { Category2 } from "fp-ts/lib/Category.js";
import { type Block, chainBlocks } from "./block.ts";
import { id } from "./combinators.ts";
import { captureSite } from "./source.ts";

export const URI = "weft/Block";
export type URI = typeof URI;

declare module "fp-ts/lib/HKT" {
  interface URItoKind2<E, A> {
    readonly [URI]: Block<E, A>;
  }
}

/**
 * The category of blocks with exactly matching wires. `compose(g, f)` is `chain(f, g)`; the laws hold for the normal
 * form, which `normalize` gives and the notation prints.
 * @example const both = blockCategory.compose(down, up); // up ->> down
 */
export const blockCategory: Category2<URI> = {
  URI,
  compose: <A, B, C>(second: Block<B, C>, first: Block<A, B>) =>
    chainBlocks([first, second], captureSite(blockCategory.compose)) as Block<A, C>,
  id: <A>() => id as unknown as Block<A, A>,
};
