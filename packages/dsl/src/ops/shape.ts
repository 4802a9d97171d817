/** Type rules shared by ops: axes are found, joined and removed by name. */
import { type Axis, axisEquals, formatAxis, type Size, sizeEquals } from "../axis.ts";
import type { Dtype, TensorType } from "../graph/types.ts";

export function findAxis(type: TensorType, name: string): Axis | undefined {
  return type.axes.find((one) => one.name === name);
}

export function axisNames(type: TensorType): string {
  return `[${type.axes.map((one) => one.name).join(", ")}]`;
}

/** `f32[seq=seq<=512, hidden=1024]`. */
export function formatType(type: TensorType): string {
  return `${type.dtype}[${type.axes.map(formatAxis).join(", ")}]`;
}

export function typeEquals(a: TensorType, b: TensorType): boolean {
  if (a === b) return true;
  return (
    a.dtype === b.dtype &&
    a.axes.length === b.axes.length &&
    a.axes.every((one, index) => axisEquals(one, b.axes[index]!))
  );
}

/** What arithmetic takes. */
export function isFloat(dtype: Dtype): boolean {
  return dtype === "f32" || dtype === "bf16" || dtype === "f16";
}

/** What products and casts read: the floats, and formats that only hold them. */
export function holdsFloats(dtype: Dtype): boolean {
  return isFloat(dtype) || dtype === "f8e4m3" || dtype === "nvfp4";
}

/**
 * The axes of an elementwise result: those of the input with most axes, then the missing ones in order. Inputs are
 * matched by name, so no input is ever transposed by hand.
 */
export function broadcastAxes(types: readonly TensorType[]): readonly Axis[] | string {
  const widest = types.reduce((best, one) => (one.axes.length > best.axes.length ? one : best));
  const axes = [...widest.axes];
  for (const type of types) {
    for (const one of type.axes) {
      const present = axes.find((other) => other.name === one.name);
      if (present === undefined) axes.push(one);
      else if (!sizeEquals(present.size, one.size)) {
        return `axis "${one.name}" must have one size; given ${formatAxis(present)} and ${formatAxis(one)}`;
      }
    }
  }
  return axes;
}

export function withoutAxes(type: TensorType, names: readonly string[]): readonly Axis[] {
  return type.axes.filter((one) => !names.includes(one.name));
}

export function missingAxis(type: TensorType, name: string): string {
  return `needs an axis "${name}" in ${formatType(type)}`;
}

export function duplicateAxis(axes: readonly Axis[]): string | undefined {
  const seen = new Set<string>();
  for (const one of axes) {
    if (seen.has(one.name)) return one.name;
    seen.add(one.name);
  }
  return undefined;
}

/** A size at the given symbol values. */
export function sizeFor(size: Size, symbols: ReadonlyMap<string, number>): number {
  if (typeof size === "number") return size;
  const value = symbols.get(size.symbol);
  if (value === undefined) throw new Error(`the symbol "${size.symbol}" must be given a value`);
  return value;
}
