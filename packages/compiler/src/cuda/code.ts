/** Text of a program while it is written, with names that are visible in the blocks that enclose them. */
import { elementBytes } from "../plan/element-bytes.ts";
import type { Affine, PlanDtype, Slot } from "../plan/types.ts";

export class Code {
  readonly #lines: string[] = [];
  /** Names by what they stand for, innermost block last. */
  readonly #scopes: Map<string, string>[] = [new Map()];
  #count = 0;

  line(text: string): void {
    this.#lines.push(text === "" ? "" : "  ".repeat(this.#scopes.length - 1) + text);
  }

  /** Writes `head {`, the block, and its end. */
  block(head: string, body: () => void): void {
    this.line(head === "" ? "{" : `${head} {`);
    this.#scopes.push(new Map());
    body();
    this.#scopes.pop();
    this.line("}");
  }

  /** The variable that stands for `key` here, or undefined. */
  named(key: string): string | undefined {
    for (let depth = this.#scopes.length - 1; depth >= 0; depth--) {
      const name = this.#scopes[depth]!.get(key);
      if (name !== undefined) return name;
    }
    return undefined;
  }

  name(key: string, name: string): void {
    this.#scopes.at(-1)!.set(key, name);
  }

  /** A constant with this value: one per visible scope. */
  constant(type: string, prefix: string, value: string): string {
    const key = `${type} ${value}`;
    const present = this.named(key);
    if (present !== undefined) return present;
    const name = this.fresh(prefix);
    this.line(`const ${type} ${name} = ${value};`);
    this.name(key, name);
    return name;
  }

  fresh(prefix: string): string {
    return `${prefix}${this.#count++}`;
  }

  text(): string {
    return `${this.#lines.join("\n")}\n`;
  }
}

/** The storage types of types.cuh. */
export const storageType: Readonly<Record<PlanDtype, string>> = {
  f32: "float",
  bf16: "bf16",
  f16: "f16",
  f8e4m3: "f8e4m3",
  nvfp4: "nvfp4",
  i32: "i32",
  i8: "i8",
};

/** Of one element; not of nvfp4, whose elements share bytes. */
export const storageBytes = (dtype: PlanDtype): number => elementBytes[dtype];

export const symbolName = (symbol: number): string => `s${symbol}`;

/** An i64 expression over the variables `s0`, `s1`, ... that hold the symbols. */
export function affineText({ constant, terms }: Affine): string {
  const parts = terms.map(({ symbol, factor }) =>
    factor === 1 ? symbolName(symbol) : `${factor}LL * ${symbolName(symbol)}`,
  );
  if (constant !== 0 || parts.length === 0) parts.push(`${constant}LL`);
  return parts.length === 1 ? parts[0]! : `(${parts.join(" + ")})`;
}

export const constantOf = ({ constant, terms }: Affine): number | undefined =>
  terms.length === 0 ? constant : undefined;

/** A float literal with exactly this f32 value. */
export function floatText(value: number): string {
  const single = Math.fround(value);
  if (Number.isNaN(single)) return "float_of(0x7fc00000u)";
  if (single === Number.POSITIVE_INFINITY) return "float_of(0x7f800000u)";
  if (single === Number.NEGATIVE_INFINITY) return "float_of(0xff800000u)";
  if (Object.is(single, -0)) return "-0.0f";
  const digits = String(single);
  return /[.e]/.test(digits) ? `${digits}f` : `${digits}.0f`;
}

/** The variable that holds the view of a slot. */
export const slotView = (slot: number): string => `b${slot}`;

/** The f32 value of one element; `at` is an i64 expression. */
export const elementText = (
  { dtype, rowLength }: Pick<Slot, "dtype" | "rowLength">,
  view: string,
  at: string,
): string => (dtype === "nvfp4" ? `load_code<${rowLength}>(${view}, ${at})` : `widen(load(${view}, ${at}))`);
