/**
 * Wires at the type level. A tensor is the tuple of its trailing axis names, a tuple of wires is a tuple of them:
 *
 *     ["hidden"]                        a float tensor whose last axis is hidden
 *     []                                a float tensor of any axes
 *     Ints<[]>                          an integer tensor
 *     [["heads", "headDim"], ["seq"]]   a pair
 *
 * Where the wires of one block have different leading axes, `"...k"` in front of the axes is lead number k.
 */
import type { WireKind } from "./types.ts";

export interface Kinded<Kind extends Exclude<WireKind, "float">, Axes extends readonly string[]> {
  readonly kind: Kind;
  readonly axes: Axes;
}

/** An integer tensor: token ids, indices. */
export type Ints<Axes extends readonly string[] = []> = Kinded<"int", Axes>;
/** A tensor of truth values. */
export type Bools<Axes extends readonly string[] = []> = Kinded<"bool", Axes>;
/** Any wire, whatever its shape; `id` takes and gives it. The variable tells several of them apart. */
export interface Anything<Variable extends string = ""> {
  readonly anything: Variable;
}

export type Wire =
  | readonly string[]
  | Ints<readonly string[]>
  | Bools<readonly string[]>
  | Anything
  | readonly Wire[];

/** Names of one axis or a list of axes, in order. */
export type NamesOf<A> = A extends { readonly name: infer Name extends string }
  ? [Name]
  : A extends readonly { readonly name: string }[]
    ? { -readonly [K in keyof A]: A[K] extends { readonly name: infer Name extends string } ? Name : never }
    : never;

/** Whether a wire is one tensor. */
export type IsTensor<W> = W extends readonly string[] | Kinded<"int" | "bool", readonly string[]>
  ? true
  : false;

type Join<Names extends readonly unknown[]> = Names extends readonly [
  infer First extends string,
  ...infer Rest,
]
  ? First extends `...${string}`
    ? Join<Rest>
    : `, ${First}${Join<Rest>}`
  : "";

type JoinWires<Ws extends readonly unknown[]> = Ws extends readonly [infer First, ...infer Rest]
  ? Rest extends readonly []
    ? FormatWire<First>
    : `${FormatWire<First>}, ${JoinWires<Rest>}`
  : "";

/** A wire as errors print it: `[..., hidden]`, `int [...]`, `([..., a], [..., b])`. The twin of `formatWire`. */
export type FormatWire<W> = W extends readonly string[]
  ? `[...${Join<W>}]`
  : W extends Kinded<infer Kind, infer Axes>
    ? `${Kind} [...${Join<Axes>}]`
    : W extends readonly unknown[]
      ? `(${JoinWires<W>})`
      : "anything";

/** Puts axes in front of every tensor of a wire. */
export type Prefix<Lead extends readonly string[], W> = Lead extends readonly []
  ? W
  : W extends readonly string[]
    ? [...Lead, ...W]
    : W extends Kinded<infer Kind, infer Axes>
      ? Kinded<Kind, [...Lead, ...Axes]>
      : W extends readonly unknown[]
        ? { -readonly [K in keyof W]: Prefix<Lead, W[K]> }
        : W;

/** A wire that says nothing at compile time (a block from a list, say): checked when the block is built. */
export type IsWide<W> = unknown extends W
  ? true
  : W extends readonly unknown[]
    ? number extends W["length"]
      ? true
      : false
    : false;

/** A wire without leading axes, as the wire of a value is printed: `[seq, hidden]`. */
export type FormatClosed<W> = W extends readonly string[]
  ? `[${Listed<W>}]`
  : W extends Kinded<infer Kind, infer Axes>
    ? `${Kind} [${Listed<Axes>}]`
    : W extends readonly unknown[]
      ? `(${ListedWires<W>})`
      : "anything";

type Listed<Names extends readonly string[]> = Join<Names> extends `, ${infer Rest}` ? Rest : "";

type ListedWires<Ws extends readonly unknown[]> = Ws extends readonly [infer First, ...infer Rest]
  ? Rest extends readonly []
    ? FormatClosed<First>
    : `${FormatClosed<First>}, ${ListedWires<Rest>}`
  : "";
