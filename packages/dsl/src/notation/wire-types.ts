/** The notation's parser at the type level: a text and the types of its blocks give the type of the whole. */
import type {
  Anything,
  Block,
  BlockLike,
  ChainChecked,
  ChainOf,
  InputOf,
  OutputOf,
  ParallelChecked,
  ParallelOf,
  RepeatChecked,
  ResidualChecked,
  SplitOf,
} from "../blocks/internal.ts";
import type { WireExpectedSentence, WireOneSentence, WireUnknownSentence } from "./wire-sentences.ts";

export type Vocabulary = Readonly<Record<string, BlockLike>>;

/** What a parser gives: a block (or several) and the text that follows, or the sentence of the first mistake. */
type Found<What, Rest extends string> = readonly [What, Rest];

type Trim<Text extends string> = Text extends `${" " | "\n" | "\t"}${infer Rest}` ? Trim<Rest> : Text;

/** A word ends at white space or at a closing parenthesis. */
type Word<Text extends string> = Text extends `${infer Start} ${infer Rest}`
  ? WordBefore<"\n", Start, ` ${Rest}`>
  : WordBefore<"\n", Text, "">;
type WordBefore<
  End extends string,
  Text extends string,
  After extends string,
> = Text extends `${infer Start}${End}${infer Rest}`
  ? End extends "\n"
    ? WordBefore<")", Start, `\n${Rest}${After}`>
    : Found<Start, `)${Rest}${After}`>
  : End extends "\n"
    ? WordBefore<")", Text, After>
    : Found<Text, After>;

type Chain<Text extends string, V, Blocks extends readonly BlockLike[]> =
  Atom<Trim<Text>, V> extends infer Parsed
    ? Parsed extends Found<infer B extends BlockLike, infer Rest>
      ? Trim<Rest> extends `->>${infer More}`
        ? Chain<More, V, [...Blocks, B]>
        : Joined<[...Blocks, B], Trim<Rest>>
      : Parsed
    : never;

type Joined<Blocks extends readonly BlockLike[], Rest extends string> = Blocks extends readonly [infer B]
  ? Found<B, Rest>
  : Checked<ChainChecked<Blocks>, ChainOf<Blocks>, Rest>;

/** The sentence among checked arguments, if there is one. */
type Checked<Arguments, Result, Rest extends string> = Arguments extends readonly unknown[]
  ? [Extract<Arguments[number], string>] extends [never]
    ? Found<Result, Rest>
    : Extract<Arguments[number], string>
  : never;

type Branches<Text extends string, V, Blocks extends readonly BlockLike[]> =
  Chain<Text, V, []> extends infer Parsed
    ? Parsed extends Found<infer B extends BlockLike, infer Rest>
      ? Rest extends `|${infer More}`
        ? Branches<More, V, [...Blocks, B]>
        : Rest extends `)${infer After}`
          ? Found<[...Blocks, B], After>
          : WireExpectedSentence<"| or )", Rest>
      : Parsed
    : never;

type Parenthesised<Parsed> =
  Parsed extends Found<infer Blocks extends readonly BlockLike[], infer Rest>
    ? Blocks extends readonly [infer B]
      ? Found<B, Rest>
      : Checked<ParallelChecked<Blocks>, ParallelOf<Blocks>, Rest>
    : Parsed;

type Split<Parsed> =
  Parsed extends Found<infer Blocks extends readonly BlockLike[], infer Rest>
    ? Found<SplitOf<Blocks>, Rest>
    : Parsed;

type One<Parsed, Name extends string> =
  Parsed extends Found<infer Blocks, infer Rest>
    ? Blocks extends readonly [infer B]
      ? Found<B, Rest>
      : WireOneSentence<Name>
    : Parsed;

type Residual<Parsed> =
  Parsed extends Found<infer B extends BlockLike, infer Rest>
    ? Checked<[ResidualChecked<B>], Block<InputOf<B>, OutputOf<B>>, Rest>
    : Parsed;

/** The count after a repeat: `x36`. */
type Times<Text extends string> = Trim<Text> extends `x${infer After}` ? Word<After>[1] : Text;

type Repeat<Parsed> =
  Parsed extends Found<infer B extends BlockLike, infer Rest>
    ? Checked<[RepeatChecked<B>], Block<InputOf<B>, OutputOf<B>>, Times<Rest>>
    : Parsed;

type Atom<Text extends string, V> = Text extends `(${infer Rest}`
  ? Parenthesised<Branches<Rest, V, []>>
  : Text extends `split(${infer Rest}`
    ? Split<Branches<Rest, V, []>>
    : Text extends `residual(${infer Rest}`
      ? Residual<One<Branches<Rest, V, []>, "residual">>
      : Text extends `stage(${string}, ${infer Rest}`
        ? One<Branches<Rest, V, []>, "stage">
        : Word<Text> extends Found<infer Name extends string, infer Rest>
          ? Named<Name, Rest, Text, V>
          : never;

type Named<Name extends string, Rest extends string, Text extends string, V> = Name extends ""
  ? WireExpectedSentence<"a block", Text>
  : Name extends `${string}]:`
    ? Repeat<Atom<Trim<Rest>, V>>
    : Name extends `${string}:`
      ? Atom<Trim<Rest>, V>
      : Name extends keyof V
        ? Found<V[Name], Rest>
        : Name extends "id"
          ? Found<Block<Anything, Anything>, Rest>
          : WireUnknownSentence<Name>;

type Whole<Text extends string, V> =
  Chain<Text, V, []> extends infer Parsed
    ? Parsed extends Found<infer B extends BlockLike, infer Rest>
      ? Rest extends ""
        ? B
        : WireExpectedSentence<"->> or the end", Rest>
      : Parsed
    : never;

/** The text itself where it is right, otherwise the sentence that says what is wrong with it. */
export type WireChecked<Text extends string, V> = string extends Text
  ? Text
  : Whole<Text, V> extends infer Result
    ? Result extends string
      ? Result
      : Text
    : never;

export type WireBlock<Text extends string, V> = string extends Text
  ? BlockLike
  : Whole<Text, V> extends infer B extends BlockLike
    ? B
    : BlockLike;
