/** Values of a plan's reference execution: what a dtype can hold, affine expressions, loops and elements. */
import type { Access, Affine, Loop, PlanDtype } from "@weft/compiler";

const half = new Float32Array(1);
const halfBits = new Uint32Array(half.buffer);

function toBf16(value: number): number {
  half[0] = value;
  if (Number.isNaN(half[0])) return Number.NaN;
  const bits = halfBits[0]!;
  halfBits[0] = (bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000;
  return half[0];
}

function toF16(value: number): number {
  const magnitude = Math.abs(value);
  if (!Number.isFinite(value) || magnitude === 0) return value;
  // Eleven bits of precision, or steps of 2^-24 below the smallest normal number.
  const step = 2 ** (Math.max(Math.floor(Math.log2(magnitude)), -14) - 10);
  const scaled = magnitude / step;
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  const rounded = rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
  const result = rounded * step;
  return Math.sign(value) * (result > 65504 ? Number.POSITIVE_INFINITY : result);
}

/** Toward zero, as far as the range goes; 0 for NaN. */
const toI32 = (value: number): number => Math.min(Math.max(Math.trunc(value) || 0, -2147483648), 2147483647);

/** The nearest value that the dtype can hold. */
export function roundTo(dtype: PlanDtype, value: number): number {
  if (dtype === "bf16") return toBf16(Math.fround(value));
  if (dtype === "f16") return toF16(Math.fround(value));
  if (dtype === "i32") return toI32(value);
  return Math.fround(value);
}

export function evaluate(affine: Affine, symbols: readonly number[]): number {
  return affine.terms.reduce((sum, term) => sum + term.factor * symbols[term.symbol]!, affine.constant);
}

/** All index tuples of a loop nest. */
export function* indices(loops: readonly Loop[], symbols: readonly number[]): Generator<number[]> {
  const extents = loops.map((loop) => evaluate(loop.extent, symbols));
  const total = extents.reduce((product, extent) => product * extent, 1);
  for (let flat = 0; flat < total; flat++) {
    const index = new Array<number>(extents.length).fill(0);
    let rest = flat;
    for (let i = extents.length - 1; i >= 0; i--) {
      index[i] = rest % extents[i]!;
      rest = Math.floor(rest / extents[i]!);
    }
    yield index;
  }
}

/** One step's view of its buffers. */
export interface Bound {
  readonly slots: readonly { data: Float32Array; dtype: PlanDtype }[];
  readonly symbols: readonly number[];
}

export function element(access: Access, bound: Bound, index: readonly number[]): number {
  return access.strides.reduce(
    (sum, stride, i) => sum + stride * index[i]!,
    evaluate(access.offset, bound.symbols),
  );
}
