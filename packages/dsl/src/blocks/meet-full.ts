/**
 * The full unifier at the type level, for blocks whose wires have several leads or stand for anything: `split`,
 * `first`, `id`. Variables are made explicit and marked by side, equations are collected in an environment, and the
 * result is renamed by first appearance. The twin of the class `Unifier`.
 */
import type { Anything, Kinded } from "./wires.ts";

/** Marks the variables of a wire: the lead `"...k"` becomes `"...<tag>k"`, an unnamed one `"...<tag>"`. */
export type Tag<W, Side extends string> =
  W extends Anything<infer V>
    ? Anything<`${Side}${V}`>
    : W extends readonly string[]
      ? TagRow<W, Side>
      : W extends Kinded<infer Kind, infer Axes>
        ? Kinded<Kind, TagRow<Axes, Side>>
        : W extends readonly unknown[]
          ? { -readonly [K in keyof W]: Tag<W[K], Side> }
          : W;

type TagRow<W extends readonly string[], Side extends string> = W extends readonly [
  `...${infer V}`,
  ...infer Axes extends string[],
]
  ? [`...${Side}${V}`, ...Axes]
  : [`...${Side}`, ...W];

/** What is known of variables: `"...l"` is bound to a row that starts with another lead, `"*l"` to a wire. */
type Environment = Readonly<Record<never, never>>;

type Find<E, W> = W extends Anything<infer V> ? (`*${V}` extends keyof E ? Find<E, E[`*${V}`]> : W) : W;

type Row<E, W> = W extends readonly [infer V extends keyof E, ...infer Axes extends string[]]
  ? E[V] extends infer Bound extends readonly string[]
    ? Row<E, [...Bound, ...Axes]>
    : never
  : W;

type UnifyRows<E, Left, Right> = Left extends readonly [infer L extends string, ...infer Ls extends string[]]
  ? Right extends readonly [infer R extends string, ...infer Rs extends string[]]
    ? Ls extends readonly [...infer Rest extends string[], ...Rs]
      ? L extends R
        ? Rest extends []
          ? E
          : "clash"
        : E & Readonly<Record<R, [L, ...Rest]>>
      : Rs extends readonly [...infer Rest extends string[], ...Ls]
        ? L extends R
          ? "clash"
          : E & Readonly<Record<L, [R, ...Rest]>>
        : "clash"
    : "clash"
  : "clash";

/** The environment in which both wires are one, or `"clash"`. */
type Unify<E, Left, Right> = UnifyFound<E, Find<E, Left>, Find<E, Right>>;

type UnifyFound<E, Left, Right> =
  Right extends Anything<infer R>
    ? Left extends Anything<R>
      ? E
      : E & Readonly<Record<`*${R}`, Left>>
    : Left extends Anything<infer L>
      ? E & Readonly<Record<`*${L}`, Right>>
      : Left extends readonly string[]
        ? Right extends readonly string[]
          ? UnifyRows<E, Row<E, Left>, Row<E, Right>>
          : "clash"
        : Left extends Kinded<infer Kind, infer Ls>
          ? Right extends Kinded<Kind, infer Rs>
            ? UnifyRows<E, Row<E, Ls>, Row<E, Rs>>
            : "clash"
          : Right extends readonly string[]
            ? "clash"
            : UnifyTuples<E, Left, Right>;

type UnifyTuples<E, Lefts, Rights> = Lefts extends readonly [infer L, ...infer Ls]
  ? Rights extends readonly [infer R, ...infer Rs]
    ? Unify<E, L, R> extends infer Next
      ? Next extends "clash"
        ? "clash"
        : UnifyTuples<Next, Ls, Rs>
      : never
    : "clash"
  : Lefts extends readonly []
    ? Rights extends readonly []
      ? E
      : "clash"
    : "clash";

type Apply<E, W> = ApplyFound<E, Find<E, W>>;

type ApplyFound<E, W> =
  W extends Anything<string>
    ? W
    : W extends readonly string[]
      ? Row<E, W>
      : W extends Kinded<infer Kind, infer Axes>
        ? Row<E, Axes> extends infer Found extends readonly string[]
          ? Kinded<Kind, Found>
          : never
        : W extends readonly unknown[]
          ? { -readonly [K in keyof W]: Apply<E, W[K]> }
          : W;

type Added<Names extends readonly string[], Name extends string> = Name extends Names[number]
  ? Names
  : [...Names, Name];

type Leads<W, Found extends readonly string[]> = W extends readonly string[]
  ? W extends readonly [`...${infer V}`, ...string[]]
    ? Added<Found, V>
    : Found
  : W extends Kinded<"int" | "bool", infer Axes>
    ? Leads<Axes, Found>
    : W extends readonly [infer First, ...infer Rest]
      ? LeadsOfAll<Rest, Leads<First, Found>>
      : Found;

type LeadsOfAll<Ws, Found extends readonly string[]> = Ws extends readonly [infer First, ...infer Rest]
  ? LeadsOfAll<Rest, Leads<First, Found>>
  : Found;

type Variables<W, Found extends readonly string[]> =
  W extends Anything<infer V>
    ? Added<Found, V>
    : W extends readonly string[]
      ? Found
      : W extends readonly [infer First, ...infer Rest]
        ? VariablesOfAll<Rest, Variables<First, Found>>
        : Found;

type VariablesOfAll<Ws, Found extends readonly string[]> = Ws extends readonly [infer First, ...infer Rest]
  ? VariablesOfAll<Rest, Variables<First, Found>>
  : Found;

/** A variable's number; nothing where it is the only one. */
type Index<
  Names extends readonly string[],
  Name,
  At extends readonly unknown[] = [],
> = Names extends readonly [infer First, ...infer Rest extends string[]]
  ? First extends Name
    ? `${At["length"]}`
    : Index<Rest, Name, [...At, unknown]>
  : never;

type RenameRow<W, Names extends readonly string[]> = W extends readonly [
  `...${infer V}`,
  ...infer Axes extends string[],
]
  ? Names["length"] extends 1
    ? Axes
    : [`...${Index<Names, V>}`, ...Axes]
  : W;

type Rename<W, Rows extends readonly string[], Wires extends readonly string[]> =
  W extends Anything<infer V>
    ? Wires["length"] extends 1
      ? Anything
      : Anything<Index<Wires, V>>
    : W extends readonly string[]
      ? RenameRow<W, Rows>
      : W extends Kinded<infer Kind, infer Axes>
        ? RenameRow<Axes, Rows> extends infer Found extends readonly string[]
          ? Kinded<Kind, Found>
          : never
        : W extends readonly unknown[]
          ? { -readonly [K in keyof W]: Rename<W[K], Rows, Wires> }
          : W;

/** Renames the variables of a block's wires by first appearance. The twin of `canonical`. */
export type Canonical<Input, Output> = Rename<
  [Input, Output],
  Leads<[Input, Output], []>,
  Variables<[Input, Output], []>
>;

export type FullMeet<Left, LeftContext, Right, RightContext> =
  Unify<Environment, Tag<Left, "l">, Tag<Right, "r">> extends infer E
    ? E extends "clash"
      ? "clash"
      : Canonical<Apply<E, Tag<LeftContext, "l">>, Apply<E, Tag<RightContext, "r">>>
    : never;
