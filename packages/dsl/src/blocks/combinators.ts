/** Putting blocks together. Each combinator is one typed signature over plain data; wires are solved in `unify.ts`. */
import {
  asBlock,
  asBlocks,
  type Block,
  type BlockLike,
  blockError,
  chainBlocks,
  checkPath,
  type InputOf,
  makeBlock,
  misfit,
  type OutputOf,
} from "./block.ts";
import type {
  ChainChecked,
  ChainOf,
  MergeChecked,
  ParallelChecked,
  ParallelOf,
  RepeatChecked,
  ResidualChecked,
  SplitOf,
} from "./checks.ts";
import { describeBlock } from "./describe.ts";
import { sentences } from "./sentences.ts";
import { captureSite, type Site } from "./source.ts";
import type { AnyBlock, WireSpec } from "./types.ts";
import { meet, tagged } from "./unify.ts";
import { anyWire, formatWire, tupleWire, wireEquals } from "./wire.ts";
import type { Anything } from "./wires.ts";

/**
 * Gives what it takes, whatever the wire: the neutral element of `chain`.
 * @example chain(id, silu); // does what silu does
 */
export const id = makeBlock(anyWire(), anyWire(), { tag: "id" }) as Block<Anything, Anything>;

/**
 * One block after the other, `a ->> b ->> c`. Where the left output ends with what the right side takes, the rest
 * passes through; where the right side takes more than the left shows, the whole block takes more.
 * @throws WeftError when wires do not fit, by name or by size. Names are an error of the type checker before.
 * @example const mlp = chain(linear("up", hidden, intermediate), silu, linear("down", intermediate, hidden));
 */
export function chain<const Bs extends readonly BlockLike[]>(
  ...blocks: Bs extends ChainChecked<Bs> ? Bs : ChainChecked<Bs>
): ChainOf<Bs> {
  return chainBlocks(blocks as readonly unknown[], captureSite(chain)) as ChainOf<Bs>;
}

/**
 * One input fanned out to several blocks, which give a tuple: `(a | b | c)`. The input is what the most demanding
 * branch takes.
 * @throws WeftError when no one wire suits all branches.
 * @example chain(parallel(chain(gate, silu), up), merge(mul));
 */
export function parallel<const Bs extends readonly BlockLike[]>(
  ...branches: Bs extends ParallelChecked<Bs> ? Bs : ParallelChecked<Bs>
): ParallelOf<Bs> {
  return parallelOf(branches as readonly unknown[], captureSite(parallel)) as ParallelOf<Bs>;
}

/** The untyped half of `parallel`. */
export function parallelOf(branches: readonly unknown[], site?: Site): AnyBlock {
  const blocks = asBlocks(branches, "parallel");
  const first = blocks[0];
  if (first === undefined) throw blockError("parallel", "needs at least one block");
  let input = first.input;
  let outputs: readonly WireSpec[] = [first.output];
  for (const [index, block] of blocks.entries()) {
    if (index === 0) continue;
    const met = meet(input, [input, ...outputs], block.input, [block.output]);
    if (typeof met === "string") {
      const sizes = met === "sizes";
      throw misfit(
        sentences.parallel(formatWire(input, { sizes }), formatWire(block.input, { sizes })),
        `${describeBlock(blocks[index - 1]!)} before, ${describeBlock(block)} as branch ${index + 1}`,
      );
    }
    input = met.left[0]!;
    outputs = [...met.left.slice(1), ...met.right];
  }
  const expression = { tag: "parallel", blocks } as const;
  return makeBlock(input, tupleWire(outputs), expression, site);
}

/**
 * One block per part of a tuple: the k-th block takes the k-th part. Parts need not agree in their leading axes.
 * @throws WeftError when there is no block.
 * @example chain(parallel(q, k), split(rope(headDim, theta), rope(headDim, theta)));
 */
export function split<const Bs extends readonly BlockLike[]>(...parts: Bs): SplitOf<Bs> {
  return splitOf(asBlocks(parts, "split"), captureSite(split)) as SplitOf<Bs>;
}

/**
 * Works on the first part of a pair and passes the second through.
 * @example chain(parallel(q, k), first(rope(headDim, theta)));
 */
export function first<const B extends BlockLike>(block: B): SplitOf<readonly [B, typeof id]> {
  const blocks = Object.freeze([asBlock(block, "first"), id]);
  return splitOf(blocks, captureSite(first)) as SplitOf<readonly [B, typeof id]>;
}

/**
 * Works on the second part of a pair and passes the first through.
 * @example chain(parallel(q, k), second(rope(headDim, theta)));
 */
export function second<const B extends BlockLike>(block: B): SplitOf<readonly [typeof id, B]> {
  const blocks = Object.freeze([id, asBlock(block, "second")]);
  return splitOf(blocks, captureSite(second)) as SplitOf<readonly [typeof id, B]>;
}

/** The untyped half of `split`. */
export function splitOf(blocks: readonly AnyBlock[], site?: Site): AnyBlock {
  if (blocks.length === 0) throw blockError("split", "needs at least one block");
  return makeBlock(
    tupleWire(blocks.map((block, index) => tagged(block.input, `${index}.`))),
    tupleWire(blocks.map((block, index) => tagged(block.output, `${index}.`))),
    { tag: "split", blocks },
    site,
  );
}

/**
 * Marks a block that makes one wire of a tuple, so that a chain reads as it works.
 * @throws WeftError when the block does not take a tuple or gives one.
 * @example chain(parallel(gate, up), merge(mul));
 */
export function merge<const B extends BlockLike>(
  block: B extends MergeChecked<B> ? B : MergeChecked<B>,
): Block<InputOf<B>, OutputOf<B>> {
  const inner = asBlock(block, "merge");
  if (inner.input.tag === "tensor") {
    throw misfit(sentences.mergeInput(formatWire(inner.input)), describeBlock(inner));
  }
  if (inner.output.tag === "tuple") {
    throw misfit(sentences.mergeOutput(formatWire(inner.output)), describeBlock(inner));
  }
  return wrap<B>(inner, { tag: "merge", block: inner }, captureSite(merge));
}

/**
 * Adds a block's output to its input: `x + f(x)`.
 * @throws WeftError when the block does not take one float tensor, or gives another wire than it takes.
 * @example chain(residual(attention), residual(mlp));
 */
export function residual<const B extends BlockLike>(
  block: B extends ResidualChecked<B> ? B : ResidualChecked<B>,
): Block<InputOf<B>, OutputOf<B>> {
  const inner = asBlock(block, "residual");
  const { input, output } = inner;
  if (input.tag !== "tensor" || input.kind !== "float") {
    throw misfit(sentences.residualKind(formatWire(input)), describeBlock(inner));
  }
  if (!wireEquals(input, output)) throw misfit(unequal(sentences.residual, inner), describeBlock(inner));
  return wrap<B>(inner, { tag: "residual", block: inner }, captureSite(residual));
}

/**
 * `count` blocks in a row, each named by its index: the parameters of block i live under `prefix.i`.
 * @throws WeftError when count is not a positive integer, or a block gives another wire than it takes.
 * @example repeat("model.layers", config.layers, () => qwen3Block(config));
 */
export function repeat<const B extends BlockLike>(
  prefix: string,
  count: number,
  build: (index: number) => B extends RepeatChecked<B> ? B : RepeatChecked<B>,
): Block<InputOf<B>, OutputOf<B>> {
  checkPath(prefix, "repeat");
  if (!Number.isSafeInteger(count) || count < 1) {
    throw blockError("repeat", "the count must be a positive integer", String(count));
  }
  const site = captureSite(repeat);
  const blocks = Object.freeze(
    Array.from({ length: count }, (_, index) => asBlock(build(index), "repeat", `block ${index}`)),
  );
  const one = blocks[0]!;
  for (const block of blocks) {
    if (!wireEquals(block.input, block.output))
      throw misfit(unequal(sentences.repeat, block), describeBlock(block));
    if (!wireEquals(one.output, block.input)) {
      const sizes = formatWire(one.output) === formatWire(block.input);
      throw misfit(
        sentences.chain(formatWire(one.output, { sizes }), formatWire(block.input, { sizes })),
        `block 0 of ${prefix} on the left, block ${blocks.indexOf(block)} on the right`,
      );
    }
  }
  return wrap<B>(one, { tag: "repeat", prefix, blocks }, site);
}

/** The sentence about a block that gives another wire than it takes, with sizes where the names agree. */
function unequal(sentence: (input: string, output: string) => string, { input, output }: AnyBlock): string {
  const sizes = formatWire(input) === formatWire(output);
  return sentence(formatWire(input, { sizes }), formatWire(output, { sizes }));
}

function wrap<B extends BlockLike>(
  inner: AnyBlock,
  expression: AnyBlock["expression"],
  site: Site,
): Block<InputOf<B>, OutputOf<B>> {
  return makeBlock(inner.input, inner.output, expression, site) as Block<InputOf<B>, OutputOf<B>>;
}
