/**
 * Suffix unification at the type level: the same procedure as `unify.ts`, with a short way for blocks that have one
 * lead (nearly all) and the full one, with variables, behind it.
 */
import type { FullMeet } from "./meet-full.ts";
import type { Anything, IsWide, Kinded, Prefix } from "./wires.ts";

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
    : Right extends Anything
      ? [LeftContext, Replace<RightContext, Left>]
      : Left extends Anything
        ? [Replace<LeftContext, Right>, RightContext]
        : IsWide<Left> extends true
          ? [LeftContext, unknown]
          : IsWide<Right> extends true
            ? [LeftContext, RightContext]
            : FullMeet<Left, LeftContext, Right, RightContext>;

/** Puts a wire in the place of `Anything`. */
type Replace<W, By> = W extends Anything
  ? By
  : W extends readonly string[]
    ? W
    : W extends readonly unknown[]
      ? { -readonly [K in keyof W]: Replace<W[K], By> }
      : W;
