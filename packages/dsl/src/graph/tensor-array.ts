/** Plain arrays with named axes: the values of the reference interpreter. Sizes are concrete, data is in C order. */
import { decodeE4m3, encodeE4m3 } from "../formats/e4m3.ts";
import type { Dtype } from "./types.ts";

export interface ArrayAxis {
  readonly name: string;
  readonly size: number;
}

export interface TensorArray {
  readonly dtype: Dtype;
  readonly axes: readonly ArrayAxis[];
  /** Double precision, so that the reference is more exact than what it judges. */
  readonly data: Float64Array;
}

export function elementCount(axes: readonly ArrayAxis[]): number {
  return axes.reduce((count, one) => count * one.size, 1);
}

/** C-order strides, in elements, by axis name. */
export function stridesOf(axes: readonly ArrayAxis[]): Map<string, number> {
  const strides = new Map<string, number>();
  let stride = 1;
  for (let i = axes.length - 1; i >= 0; i--) {
    strides.set(axes[i]!.name, stride);
    stride *= axes[i]!.size;
  }
  return strides;
}

/** Calls `visit` with the offsets of each operand for every index of `axes`, outermost slowest. */
export function forEachIndex(
  axes: readonly ArrayAxis[],
  operands: readonly ReadonlyMap<string, number>[],
  visit: (offsets: Int32Array, place: number) => void,
): void {
  const count = elementCount(axes);
  const offsets = new Int32Array(operands.length);
  const index = new Int32Array(axes.length);
  const strides = axes.map((one) => Int32Array.from(operands, (operand) => operand.get(one.name) ?? 0));
  for (let place = 0; place < count; place++) {
    visit(offsets, place);
    for (let axis = axes.length - 1; axis >= 0; axis--) {
      const step = strides[axis]!;
      const size = axes[axis]!.size;
      if (++index[axis]! < size) {
        for (let i = 0; i < offsets.length; i++) offsets[i]! += step[i]!;
        break;
      }
      index[axis] = 0;
      for (let i = 0; i < offsets.length; i++) offsets[i]! -= step[i]! * (size - 1);
    }
  }
}

const float32 = new Float32Array(1);
const bits32 = new Uint32Array(float32.buffer);

/** Toward zero; beyond the range its nearest end, and 0 for NaN, as processors with saturating conversions have it. */
const toInt32 = (value: number): number =>
  Number.isNaN(value) ? 0 : Math.min(Math.max(Math.trunc(value), -(2 ** 31)), 2 ** 31 - 1) + 0;

/** To nearest even, saturated at -127 and 127 (no magnitude without its opposite); 0 for NaN. */
function toInt8(value: number): number {
  if (Number.isNaN(value)) return 0;
  const within = Math.min(Math.max(value, -127), 127);
  const floor = Math.floor(within);
  const rest = within - floor;
  return (rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor) + 0;
}

/** Rounds a double to a storage type, and gives it back as a double: floats and i8 to nearest even, i32 toward zero. */
export function roundTo(dtype: Dtype, value: number): number {
  switch (dtype) {
    case "f32":
    // Made by a whole block only: what is given has been rounded.
    case "nvfp4":
      return value;
    case "bf16": {
      float32[0] = value;
      if (Number.isNaN(value)) return value;
      const bits = bits32[0]!;
      bits32[0] = ((bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000) >>> 0;
      return float32[0]!;
    }
    case "f16": {
      const magnitude = Math.abs(value);
      if (magnitude === 0 || !Number.isFinite(value)) return value;
      const exponent = Math.max(-14, Math.floor(Math.log2(magnitude)));
      const unit = 2 ** (exponent - 10);
      const quotient = magnitude / unit;
      const floor = Math.floor(quotient);
      const rest = quotient - floor;
      const rounded = rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
      const result = rounded * unit;
      return Math.sign(value) * (result > 65504 ? Number.POSITIVE_INFINITY : result);
    }
    case "f8e4m3":
      return decodeE4m3(encodeE4m3(value));
    case "i32":
      return toInt32(value);
    case "i8":
      return toInt8(value);
    case "bool":
      return value !== 0 ? 1 : 0;
    default:
      return dtype satisfies never;
  }
}
