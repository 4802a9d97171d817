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
import type {
  WireExpectedSentence,
  WireLayersSentence,
  WireOneSentence,
  WireTimesSentence,
  WireUnknownSentence,
} from "./wire-sentences.ts";

export type Vocabulary = Readonly<Record<string, BlockLike>>;

/** What a parser gives: a block (or several) and the text that follows, or the sentence of the first mistake. */
type Found<What, Rest extends string> = readonly [What, Rest];

type Trim<Text extends string> = Text extends `    ${infer Rest}`
  ? Trim<Rest>
  : Text extends `${" " | "\n" | "\t"}${infer Rest}`
    ? Trim<Rest>
    : Text;

/** What ends a word, besides a space: the more frequent first. */
type Marks = [")", "\n", "(", "|", "->>", "\t"];

/** A word and what stands behind it. */
type Word<Text extends string> = Text extends `${infer Start} ${infer Rest}`
  ? Cut<Marks, Start, ` ${Rest}`>
  : Cut<Marks, Text, "">;
/** Most words have none of the marks in them and are found at once. */
type Cut<
  Ends extends readonly string[],
  Text extends string,
  After extends string,
> = Text extends `${string}${Marks[number]}${string}`
  ? Ends extends readonly [infer End extends string, ...infer More extends readonly string[]]
    ? Text extends `${infer Start}${End}${infer Rest}`
      ? Cut<More, Start, `${End}${Rest}${After}`>
      : Cut<More, Text, After>
    : Found<Text, After>
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

type Parallel<Parsed> =
  Parsed extends Found<infer Blocks extends readonly BlockLike[], infer Rest>
    ? Checked<ParallelChecked<Blocks>, ParallelOf<Blocks>, Rest>
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

type Repeat<Parsed> =
  Parsed extends Found<infer B extends BlockLike, infer Rest>
    ? Checked<[RepeatChecked<B>], Block<InputOf<B>, OutputOf<B>>, Rest>
    : Parsed;

interface NextDigit {
  0: "1";
  1: "2";
  2: "3";
  3: "4";
  4: "5";
  5: "6";
  6: "7";
  7: "8";
  8: "9";
}

/** The number after a number, in digits. */
type Increment<Digits extends string> = Digits extends ""
  ? "1"
  : Digits extends `${infer Before}9`
    ? `${Increment<Before>}0`
    : {
        [Last in keyof NextDigit]: Digits extends `${infer Before}${Last}`
          ? `${Before}${NextDigit[Last]}`
          : never;
      }[keyof NextDigit];

/** The layers of a range, and the count behind them: `[0..35]` and `x36`. Ranges that go on are counted when it is read. */
type Layers<Path extends string, Range extends string, Parsed> = Range extends `${infer First}..${infer Last}`
  ? First extends "0"
    ? Last extends `${number}`
      ? Counted<Path, Increment<Last>, Repeat<Parsed>>
      : WireLayersSentence<Path>
    : Range extends `${number}..${number}`
      ? Behind<Path, `${number}`, Repeat<Parsed>>
      : WireLayersSentence<Path>
  : Range extends `${number}`
    ? Behind<Path, "1", Repeat<Parsed>>
    : WireLayersSentence<Path>;

type Counted<Path extends string, Count extends string, Parsed> =
  Parsed extends Found<infer B, infer Rest>
    ? Trim<Rest> extends `x${infer After}`
      ? Word<After> extends Found<Count, infer Next>
        ? Found<B, Next>
        : WireTimesSentence<Path, Count>
      : WireTimesSentence<Path, Count>
    : Parsed;

/** A count that may stand behind. */
type Behind<Path extends string, Count extends string, Parsed> =
  Parsed extends Found<infer B, infer Rest>
    ? Trim<Rest> extends `x${infer After}`
      ? Word<After> extends Found<infer Given, infer Next>
        ? Given extends Count
          ? Found<B, Next>
          : Given extends `${number}`
            ? WireTimesSentence<Path, Count>
            : Parsed
        : never
      : Parsed
    : Parsed;

type Stage<Text extends string, V> = Text extends `${infer Label},${infer Rest}`
  ? Label extends "" | `${string}${" " | "\n" | "(" | ")" | "|"}${string}`
    ? WireExpectedSentence<"a label and a block", Text>
    : One<Branches<Rest, V, []>, "stage">
  : WireExpectedSentence<"a label and a block", Text>;

type Atom<Text extends string, V> = Text extends `(${infer Rest}`
  ? Parenthesised<Branches<Rest, V, []>>
  : Text extends `${"split(" | "parallel(" | "residual(" | "stage("}${string}`
    ? Combined<Text, V>
    : Word<Text> extends Found<infer Name extends string, infer Rest>
      ? Named<Name, Rest, Text, V>
      : never;

type Combined<Text extends string, V> = Text extends `split(${infer Rest}`
  ? Split<Branches<Rest, V, []>>
  : Text extends `parallel(${infer Rest}`
    ? Parallel<Branches<Rest, V, []>>
    : Text extends `residual(${infer Rest}`
      ? Residual<One<Branches<Rest, V, []>, "residual">>
      : Text extends `stage(${infer Rest}`
        ? Stage<Rest, V>
        : never;

type Named<Name extends string, Rest extends string, Text extends string, V> = Name extends ""
  ? WireExpectedSentence<"a block", Text>
  : Name extends `${infer Path}:${infer More}`
    ? Path extends `${string}[${infer Range}]`
      ? Layers<Path, Range, Atom<Trim<`${More}${Rest}`>, V>>
      : Atom<Trim<`${More}${Rest}`>, V>
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

/** A plain block also where the text is one name: a block that can be called as well, such as `mul`, is not handed on. */
export type WireBlock<Text extends string, V> = string extends Text
  ? BlockLike
  : Whole<Text, V> extends infer B extends BlockLike
    ? Block<InputOf<B>, OutputOf<B>>
    : BlockLike;
