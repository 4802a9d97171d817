/**
 * Suffix unification at the type level: the same procedure as `unify.ts`, with a short way for blocks that have one
 * lead (nearly all) and the full one, with variables, behind it.
 */
import type { Block, BlockLike, InputOf, OutputOf } from "./block.ts";
import type { FullMeet } from "./meet-full.ts";
import type { ChainSentence, ParallelSentence } from "./sentences.ts";
import type { FormatWire, Kinded, Prefix } from "./wires.ts";

/** `["lead", L]`: left = L ++ right. `["need", N]`: right = N ++ left. `"clash"` otherwise. */
type Fit<Left, Right> = Left extends readonly string[]
  ? Right extends readonly string[]
    ? Left extends readonly [...infer Lead extends string[], ...Right]
      ? ["lead", Lead]
      : Right extends readonly [...infer Need extends string[], ...Left]
        ? ["need", Need]
        : "clash"
    : "clash"
  : Left extends Kinded<infer Kind, infer LeftAxes>
    ? Right extends Kinded<Kind, infer RightAxes>
      ? Fit<LeftAxes, RightAxes>
      : "clash"
    : Left extends readonly [infer L, ...infer Ls]
      ? Right extends readonly [infer R, ...infer Rs]
        ? FitRest<Ls, Rs, Fit<L, R>>
        : "clash"
      : "clash";

/** All parts of a tuple must fit in the same way. */
type FitRest<
  Lefts extends readonly unknown[],
  Rights extends readonly unknown[],
  First,
> = Lefts extends readonly [infer L, ...infer Ls]
  ? Rights extends readonly [infer R, ...infer Rs]
    ? First extends Fit<L, R>
      ? Fit<L, R> extends First
        ? FitRest<Ls, Rs, First>
        : "clash"
      : "clash"
    : "clash"
  : Rights extends readonly []
    ? First
    : "clash";

/**
 * Makes `Left` and `Right` one wire and carries the finding over: `[LeftContext', RightContext']`, or `"clash"`.
 * For a chain the contexts are the left block's input and the right block's output.
 */
export type Meet<Left, LeftContext, Right, RightContext> =
  Fit<Left, Right> extends [infer Way, infer Axes extends string[]]
    ? Way extends "lead"
      ? [LeftContext, Prefix<Axes, RightContext>]
      : [Prefix<Axes, LeftContext>, RightContext]
    : Right extends "*"
      ? [LeftContext, Replace<RightContext, Left>]
      : Left extends "*"
        ? [Replace<LeftContext, Right>, RightContext]
        : IsWide<Left> extends true
          ? [LeftContext, unknown]
          : IsWide<Right> extends true
            ? [LeftContext, RightContext]
            : FullMeet<Left, LeftContext, Right, RightContext>;

/** Puts a wire in the place of `"*"`. */
type Replace<W, By> = W extends "*"
  ? By
  : W extends readonly string[]
    ? W
    : W extends readonly unknown[]
      ? { -readonly [K in keyof W]: Replace<W[K], By> }
      : W;

/** A wire that says nothing at compile time (a block from a list, say): checked when the block is built. */
type IsWide<W> = unknown extends W
  ? true
  : W extends readonly unknown[]
    ? number extends W["length"]
      ? true
      : false
    : false;

interface Fault<Arguments> {
  readonly fault: Arguments;
}

/** A block of these wires, or a `Fault` with the arguments in which the misfit is replaced by its sentence. */
type ChainFold<Rest, I, O, Seen extends readonly unknown[]> = Rest extends readonly [
  infer B extends BlockLike,
  ...infer More,
]
  ? Meet<O, I, InputOf<B>, OutputOf<B>> extends readonly [infer I2, infer O2]
    ? ChainFold<More, I2, O2, [...Seen, B]>
    : Fault<[...Seen, ChainSentence<FormatWire<O>, FormatWire<InputOf<B>>>, ...More]>
  : Block<I, O>;

type Chain<Bs extends readonly BlockLike[]> = Bs extends readonly [infer B extends BlockLike, ...infer Rest]
  ? ChainFold<Rest, InputOf<B>, OutputOf<B>, [B]>
  : BlockLike;

export type ChainOf<Bs extends readonly BlockLike[]> =
  Chain<Bs> extends infer B extends BlockLike ? B : BlockLike;
export type ChainChecked<Bs extends readonly BlockLike[]> =
  Chain<Bs> extends Fault<infer Arguments> ? Arguments : Bs;
export type NextChecked<This extends BlockLike, Next extends BlockLike> =
  Meet<OutputOf<This>, InputOf<This>, InputOf<Next>, OutputOf<Next>> extends readonly unknown[]
    ? Next
    : ChainSentence<FormatWire<OutputOf<This>>, FormatWire<InputOf<Next>>>;

/** Branches one by one: `I` is what all so far expect, `Os` what they give. */
type ParallelFold<
  Rest,
  I,
  Os extends readonly unknown[],
  Seen extends readonly unknown[],
> = Rest extends readonly [infer B extends BlockLike, ...infer More]
  ? Meet<I, [I, Os], InputOf<B>, [InputOf<B>, OutputOf<B>]> extends readonly [
      readonly [infer I2, infer Os2 extends readonly unknown[]],
      readonly [unknown, infer O2],
    ]
    ? ParallelFold<More, I2, [...Os2, O2], [...Seen, B]>
    : Fault<[...Seen, ParallelSentence<FormatWire<I>, FormatWire<InputOf<B>>>, ...More]>
  : Block<I, Os>;

type Parallel<Bs extends readonly BlockLike[]> = Bs extends readonly [
  infer B extends BlockLike,
  ...infer Rest,
]
  ? ParallelFold<Rest, InputOf<B>, [OutputOf<B>], [B]>
  : BlockLike;

export type ParallelOf<Bs extends readonly BlockLike[]> =
  Parallel<Bs> extends infer B extends BlockLike ? B : BlockLike;
export type ParallelChecked<Bs extends readonly BlockLike[]> =
  Parallel<Bs> extends Fault<infer Arguments> ? Arguments : Bs;
