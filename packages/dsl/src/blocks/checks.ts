/** What each combinator accepts and gives, as types. An argument that does not fit becomes its sentence. */
import type { Block, BlockLike, InputOf, OutputOf } from "./block.ts";
import type { Meet } from "./meet.ts";
import type { Canonical, Tag } from "./meet-full.ts";
import type {
  ApplySentence,
  ChainSentence,
  MergeInputSentence,
  MergeOutputSentence,
  ParallelSentence,
  RepeatSentence,
  ResidualKindSentence,
  ResidualSentence,
} from "./sentences.ts";
import type { ValueLike, WireOf } from "./value.ts";
import type { FormatClosed, FormatWire, IsTensor, IsWide } from "./wires.ts";

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

/** Tags the wires of each part with its index, so that every part keeps its own leads. */
type SplitFold<Rest, Is extends readonly unknown[], Os extends readonly unknown[]> = Rest extends readonly [
  infer B extends BlockLike,
  ...infer More,
]
  ? SplitFold<
      More,
      [...Is, Tag<InputOf<B>, `${Is["length"]}.`>],
      [...Os, Tag<OutputOf<B>, `${Is["length"]}.`>]
    >
  : Canonical<Is, Os> extends readonly [infer I, infer O]
    ? Block<I, O>
    : never;

export type SplitOf<Bs extends readonly BlockLike[]> = number extends Bs["length"]
  ? BlockLike
  : SplitFold<Bs, [], []>;

type Same<A, B> = [A, B] extends [B, A] ? true : false;

export type MergeChecked<B extends BlockLike> =
  IsWide<InputOf<B>> extends true
    ? B
    : IsTensor<InputOf<B>> extends true
      ? MergeInputSentence<FormatWire<InputOf<B>>>
      : IsTensor<OutputOf<B>> extends true
        ? B
        : OutputOf<B> extends readonly unknown[]
          ? MergeOutputSentence<FormatWire<OutputOf<B>>>
          : B;

export type ResidualChecked<B extends BlockLike> =
  IsWide<InputOf<B>> extends true
    ? B
    : InputOf<B> extends readonly string[]
      ? Same<InputOf<B>, OutputOf<B>> extends true
        ? B
        : ResidualSentence<FormatWire<InputOf<B>>, FormatWire<OutputOf<B>>>
      : ResidualKindSentence<FormatWire<InputOf<B>>>;

export type RepeatChecked<B extends BlockLike> =
  IsWide<InputOf<B>> extends true
    ? B
    : Same<InputOf<B>, OutputOf<B>> extends true
      ? B
      : RepeatSentence<FormatWire<InputOf<B>>, FormatWire<OutputOf<B>>>;

/** What a block gives at a value whose wire is closed: nothing may be put in front of it. */
type Applied<I, O, W> =
  IsWide<W> extends true
    ? [W, unknown]
    : Meet<W, W, I, O> extends readonly [infer Left, infer Result]
      ? Same<Left, W> extends true
        ? [W, Result]
        : "clash"
      : "clash";

export type ApplyOf<I, O, W> = Applied<I, O, W> extends readonly [unknown, infer Result] ? Result : unknown;

export type ApplyChecked<I, O, V extends ValueLike> =
  Applied<I, O, WireOf<V>> extends "clash" ? ApplySentence<FormatClosed<WireOf<V>>, FormatWire<I>> : V;
