/**
 * Axes are dimensions with names. Names are checked by the TypeScript compiler, sizes when a block is built.
 * A symbolic size is known only at run time, up to a bound that memory is planned for.
 */
import { userProblem, WeftError } from "./errors.ts";

export interface SymbolicSize {
  readonly symbol: string;
  /** The largest value that a plan must have room for. */
  readonly max: number;
}

export type Size = number | SymbolicSize;

export interface Axis<Name extends string = string> {
  readonly name: Name;
  readonly size: Size;
}

/**
 * An axis of a fixed size, or of a symbolic one.
 * @throws WeftError when the name is no name or the size is not a positive integer.
 * @example const hidden = axis("hidden", 1024);
 * @example const seq = axis("seq", { symbol: "seq", max: 512 });
 */
export function axis<const Name extends string>(name: Name, size: Size): Axis<Name> {
  const bound = typeof size === "number" ? size : size.max;
  if (typeof name !== "string" || !/^[A-Za-z_][\w:']*$/.test(name)) {
    throw new WeftError([
      userProblem("axis", "a name must be a letter followed by letters, digits or _", {
        given: String(JSON.stringify(name)),
      }),
    ]);
  }
  if (!Number.isSafeInteger(bound) || bound < 1) {
    throw new WeftError([
      userProblem("axis", `the size of "${name}" must be a positive integer`, { given: String(bound) }),
    ]);
  }
  return Object.freeze({ name, size });
}

export function sizeEquals(a: Size, b: Size): boolean {
  if (typeof a === "number" || typeof b === "number") return a === b;
  return a.symbol === b.symbol && a.max === b.max;
}

export function axisEquals(a: Axis, b: Axis): boolean {
  return a.name === b.name && sizeEquals(a.size, b.size);
}

/** The number of elements that memory is planned for. */
export function maxSize(size: Size): number {
  return typeof size === "number" ? size : size.max;
}

export function formatSize(size: Size): string {
  return typeof size === "number" ? String(size) : `${size.symbol}<=${size.max}`;
}

/** `hidden=1024`, `seq=seq<=512`. */
export function formatAxis(one: Axis): string {
  return `${one.name}=${formatSize(one.size)}`;
}
