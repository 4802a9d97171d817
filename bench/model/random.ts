/**
 * Deterministic random weights. Each tensor has a stream of its own, keyed by seed and name, so that any program can
 * make any tensor alone:
 *
 *     hash  = FNV-1a (32 bits) over the UTF-8 bytes of "SEED:NAME"
 *     state = four outputs of splitmix32 started at hash
 *     draws = xoshiro128** (32 bits); each gives two 16-bit indices, the low half first
 *     value = table[index], where table[i] = bf16(mean + deviation * probit((i + 0.5) / 65536))
 *
 * Every value is a bf16 number, so that F32 and BF16 files hold the same weights exactly.
 */

const indices = 65536;

export interface Distribution {
  readonly mean: number;
  readonly deviation: number;
}

/** The stream of one tensor: `fill` continues where the last call ended. */
export class WeightStream {
  readonly #state: Uint32Array;
  readonly #table: Uint16Array;

  constructor(seed: string, name: string, distribution: Distribution) {
    this.#state = splitMix(fnv1a(`${seed}:${name}`), 4);
    this.#table = quantileTable(distribution);
  }

  /** Fills with bits of bf16 numbers. Only the last piece of a tensor may have an odd length: a draw gives two. */
  fill(values: Uint16Array): void {
    const table = this.#table;
    let [a, b, c, d] = this.#state as unknown as [number, number, number, number];
    for (let i = 0; i < values.length; i += 2) {
      const draw = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9);
      values[i] = table[draw & 0xffff]!;
      if (i + 1 < values.length) values[i + 1] = table[draw >>> 16]!;
      const shifted = b << 9;
      c ^= a;
      d ^= b;
      b ^= c;
      a ^= d;
      c ^= shifted;
      d = rotateLeft(d, 11);
    }
    this.#state.set([a, b, c, d]);
  }
}

const rotateLeft = (x: number, bits: number) => (x << bits) | (x >>> (32 - bits));

export function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

function splitMix(start: number, count: number): Uint32Array {
  const outputs = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    let x = start + Math.imul(0x9e3779b9, i + 1);
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    outputs[i] = x ^ (x >>> 16);
  }
  return outputs;
}

const tables = new Map<string, Uint16Array>();

/** bf16 bits of the 65536 midpoint quantiles. */
function quantileTable({ mean, deviation }: Distribution): Uint16Array {
  const key = `${mean} ${deviation}`;
  const known = tables.get(key);
  if (known) return known;
  const table = Uint16Array.from({ length: indices }, (_, i) =>
    bf16Bits(mean + deviation * probit((i + 0.5) / indices)),
  );
  tables.set(key, table);
  return table;
}

const float = new Float32Array(1);
const floatBits = new Uint32Array(float.buffer);

/** Rounds to nearest, ties to even. Finite numbers only. */
export function bf16Bits(value: number): number {
  float[0] = value;
  const bits = floatBits[0]!;
  const odd = (bits >>> 16) & 1;
  return ((bits + 0x7fff + odd) >>> 16) & 0xffff;
}

/**
 * Inverse of the standard normal distribution function: P. J. Acklam's rational approximation, relative error below
 * 1.2e-9. The coefficients and the order of operations are part of the definition of the weights.
 */
export function probit(p: number): number {
  if (p > 1 - tail) return -probit(1 - p);
  if (p < tail) {
    const q = Math.sqrt(-2 * Math.log(p));
    return polynomial(tailNumerator, q) / polynomial([...tailDenominator, 1], q);
  }
  const q = p - 0.5;
  const r = q * q;
  return (polynomial(centralNumerator, r) * q) / polynomial([...centralDenominator, 1], r);
}

const tail = 0.02425;
const centralNumerator = [
  -39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716,
  2.506628277459239,
];
const centralDenominator = [
  -54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572,
];
const tailNumerator = [
  -0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968,
  2.938163982698783,
];
const tailDenominator = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416];

/** Highest power first. */
function polynomial(coefficients: readonly number[], x: number): number {
  return coefficients.reduce((sum, coefficient) => sum * x + coefficient, 0);
}
