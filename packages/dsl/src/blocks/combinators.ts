/** Putting blocks together. Each combinator is one typed signature over plain data; wires are solved in `unify.ts`. */
import {
  asBlock,
  asBlocks,
  type Block,
  type BlockLike,
  blockError,
  chainBlocks,
  type InputOf,
  makeBlock,
  type OutputOf,
} from "./block.ts";
import { describeBlock } from "./describe.ts";
import type { ChainChecked, ChainOf, ParallelChecked, ParallelOf } from "./meet.ts";
import { sentences } from "./sentences.ts";
import type { AnyBlock } from "./types.ts";
import { canonical, tagged, Unifier } from "./unify.ts";
import { anyWire, formatWire, tupleWire, wireEquals } from "./wire.ts";

/** Gives what it takes, whatever the wire. */
export const id = makeBlock(anyWire(), anyWire(), { tag: "id" }) as AnyBlock as Block<"*", "*">;

export function chain<const Bs extends readonly BlockLike[]>(
  ...blocks: Bs extends ChainChecked<Bs> ? Bs : ChainChecked<Bs>
): ChainOf<Bs> {
  return chainBlocks("chain", blocks as readonly unknown[]) as ChainOf<Bs>;
}

export function parallel<const Bs extends readonly BlockLike[]>(
  ...branches: Bs extends ParallelChecked<Bs> ? Bs : ParallelChecked<Bs>
): ParallelOf<Bs> {
  const blocks = asBlocks(branches as readonly unknown[], "parallel");
  const first = blocks[0];
  if (first === undefined) throw blockError("parallel", "needs at least one block");
  let input = first.input;
  let outputs = tupleWire([first.output]);
  for (const [index, block] of blocks.entries()) {
    if (index === 0) continue;
    const unifier = new Unifier();
    const clash = unifier.unify(tagged(input, "l"), tagged(block.input, "r"));
    if (clash !== undefined) {
      const sizes = clash === "sizes";
      throw blockError(
        "parallel",
        sentences.parallel(formatWire(input, { sizes }), formatWire(block.input, { sizes })),
        `${describeBlock(blocks[index - 1]!)} before, ${describeBlock(block)} as branch ${index + 1}`,
      );
    }
    const before = outputs.wires.map((wire) => unifier.apply(tagged(wire, "l")));
    const all = tupleWire([...before, unifier.apply(tagged(block.output, "r"))]);
    const renamed = canonical(unifier.apply(tagged(input, "l")), all);
    input = renamed[0];
    outputs = renamed[1] as typeof outputs;
  }
  return makeBlock(input, outputs, { tag: "parallel", blocks }) as AnyBlock as ParallelOf<Bs>;
}

export function split<const Bs extends readonly BlockLike[]>(...parts: Bs): BlockLike {
  const blocks = asBlocks(parts, "split");
  if (blocks.length === 0) throw blockError("split", "needs at least one block");
  return splitBlocks(blocks) as BlockLike;
}

function splitBlocks(blocks: readonly AnyBlock[]): AnyBlock {
  return makeBlock(
    tupleWire(blocks.map((block, index) => tagged(block.input, `${index}.`))),
    tupleWire(blocks.map((block, index) => tagged(block.output, `${index}.`))),
    { tag: "split", blocks },
  );
}

export function merge<B extends BlockLike>(block: B): Block<InputOf<B>, OutputOf<B>> {
  const inner = asBlock(block, "merge");
  if (inner.input.tag === "tensor") {
    throw blockError("merge", sentences.mergeInput(formatWire(inner.input)), describeBlock(inner));
  }
  if (inner.output.tag === "tuple") {
    throw blockError("merge", sentences.mergeOutput(formatWire(inner.output)), describeBlock(inner));
  }
  return makeBlock(inner.input, inner.output, { tag: "merge", block: inner }) as AnyBlock as Block<
    InputOf<B>,
    OutputOf<B>
  >;
}

export function residual<B extends BlockLike>(block: B): Block<InputOf<B>, OutputOf<B>> {
  const inner = asBlock(block, "residual");
  if (!wireEquals(inner.input, inner.output)) {
    const sizes = formatWire(inner.input) === formatWire(inner.output);
    throw blockError(
      "residual",
      sentences.residual(formatWire(inner.input, { sizes }), formatWire(inner.output, { sizes })),
      describeBlock(inner),
    );
  }
  return makeBlock(inner.input, inner.output, { tag: "residual", block: inner }) as AnyBlock as Block<
    InputOf<B>,
    OutputOf<B>
  >;
}

export function repeat<B extends BlockLike>(
  prefix: string,
  count: number,
  build: (index: number) => B,
): Block<InputOf<B>, OutputOf<B>> {
  const blocks = Array.from({ length: count }, (_, index) => asBlock(build(index), "repeat"));
  const first = blocks[0]!;
  return makeBlock(first.input, first.output, { tag: "repeat", prefix, blocks }) as AnyBlock as Block<
    InputOf<B>,
    OutputOf<B>
  >;
}
