/**
 * Stochastic rounding to bf16 by counter-based bits: what a device rounds an element with is a function of seed, step,
 * tensor and place, whatever it computed before and in whatever order.
 *
 * Gupta, Agrawal, Gopalakrishnan, Narayanan: Deep learning with limited numerical precision (ICML 2015).
 */
import { philox, streamOf, type Words4 } from "./philox.ts";

/** Tells the keys of rounding from other uses of a seed. */
const keyStream = 0x7e1d_5eed;

/** Integers below it are exact in f32, in which kernels get key and stream. */
const words24 = 2 ** 24;

/** Elements of one block of Philox: 16 bits for each. */
const elements = 8;

/**
 * The key of one step: the upper 24 bits of the first two words of Philox under the seed.
 * @param seed integer from 0 to 2^53 - 1
 * @param step integer from 0 to 2^53 - 1
 */
export function roundingKey(seed: number, step: number): readonly [number, number] {
  const [low, high] = philox(
    [step >>> 0, Math.floor(step / 2 ** 32), keyStream, 0],
    [seed >>> 0, Math.floor(seed / 2 ** 32)],
  );
  return [low >>> 8, high >>> 8];
}

/** The stream of a tensor by its name, below 2^24. Two names may share one, which only correlates their roundings. */
export function roundingStream(name: string): number {
  return streamOf(name) % words24;
}

/** What a kernel makes of a key in f32: toward zero, beyond the range of i32 its nearest end, and 0 for NaN. */
export function wordOf(value: number): number {
  if (Number.isNaN(value)) return 0;
  return Math.min(Math.max(Math.trunc(Math.fround(value)), -(2 ** 31)), 2 ** 31 - 1) >>> 0;
}

let known: { readonly counter: number; readonly words: Words4; readonly of: string } | undefined;

/** The 16 bits of an element: blocks of Philox are eight halves of words one after the other, lower halves first. */
export function randomHalf(place: number, [low, high]: readonly [number, number], stream: number): number {
  const counter = Math.floor(place / elements);
  const of = `${low},${high},${stream}`;
  if (known?.counter !== counter || known.of !== of) {
    const words = philox([counter >>> 0, Math.floor(counter / 2 ** 32), stream, 0], [low, high]);
    known = { counter, words, of };
  }
  const half = place % elements;
  return (known.words[half >> 1]! >>> (16 * (half & 1))) & 0xffff;
}

const float32 = new Float32Array(1);
const bits32 = new Uint32Array(float32.buffer);

/**
 * The bits are added to the f32's own below the last bit that bf16 keeps, and what is below is cut off. Sign, zero,
 * infinity and NaN stay; a finite value stays finite: above the largest bf16 it becomes that one.
 * @param bits from 0 to 0xffff
 */
export function roundWith(value: number, bits: number): number {
  if (Number.isNaN(value)) return value;
  float32[0] = value;
  const own = bits32[0]!;
  const moved = (own & 0x7fff_ffff) + bits;
  const kept = moved < 0x7f80_0000 ? moved : own & 0x7fff_ffff;
  bits32[0] = ((own & 0x8000_0000) | (kept & 0xffff_0000)) >>> 0;
  return float32[0]!;
}
