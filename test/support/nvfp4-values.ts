/** Values that NVFP4 holds, and the codes of such values. */
import { decodeE2m1, decodeE4m3, decodeNvfp4, encodeNvfp4, type Nvfp4Values, nvfp4Block } from "@weft/dsl";

/** The values nearest to those given. */
export const nearestNvfp4 = (values: ArrayLike<number>): Float64Array =>
  Float64Array.from(decodeNvfp4(encodeNvfp4(values)));

/** Codes and scales of values that NVFP4 holds exactly; of each block the smallest scale that does. */
export function exactNvfp4(values: ArrayLike<number>): Nvfp4Values {
  const codes = new Uint8Array(values.length / 2);
  const scales = new Uint8Array(values.length / nvfp4Block);
  for (let block = 0; block < scales.length; block++) {
    const begin = block * nvfp4Block;
    const own = Array.from({ length: nvfp4Block }, (_, i) => values[begin + i]!);
    const [scale, found] = own.some(Number.isNaN) ? [0x7f, own.map(() => 0)] : exactBlock(own);
    scales[block] = scale;
    for (let i = 0; i < nvfp4Block; i += 2) codes[(begin + i) / 2] = found[i]! | (found[i + 1]! << 4);
  }
  return { codes, scales };
}

function exactBlock(values: readonly number[]): readonly [number, readonly number[]] {
  for (let scale = 0; scale < 0x7f; scale++) {
    const own = Array.from({ length: nvfp4Block }, (_, code) => decodeE2m1(code) * decodeE4m3(scale));
    const codes = values.map((value) => own.findIndex((one) => Object.is(one, value)));
    if (!codes.includes(-1)) return [scale, codes];
  }
  throw new Error(`NVFP4 does not hold a block of ${values.join(", ")}`);
}
