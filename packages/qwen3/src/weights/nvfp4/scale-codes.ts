/** Block scales as codes of E4M3, whatever a file has them in. */
import { decodeE4m3, encodeE4m3, nanE4m3 } from "@weft/dsl";
import * as Either from "fp-ts/lib/Either.js";
import { type Checked, type Problem, type Problems, refuse, unlessProblems } from "../../config/problems.ts";
import { float16ToFloat32 } from "../dtype.ts";
import type { QuantizedLinear } from "./quantized-linear.ts";
import { readPart } from "./read-part.ts";

/**
 * [N, K/16] codes, row by row, all of them finite and none below 0.
 *
 * Left: NaN, a negative scale, or a number that E4M3 does not have, with the linear's name and the block.
 */
export async function scaleCodesOf(linear: QuantizedLinear): Promise<Either.Either<Problems, Uint8Array>> {
  return scaleCodesIn(linear, await readPart(linear.scales));
}

/** As `scaleCodesOf`, of the bytes that the file has. */
export function scaleCodesIn(linear: QuantizedLinear, bytes: Uint8Array<ArrayBuffer>): Checked<Uint8Array> {
  const { dtype } = linear.scales;
  if (dtype === "e4m3") return checkedCodes(linear, bytes);
  const values =
    dtype === "f16" ? float16ToFloat32(new Uint16Array(bytes.buffer)) : new Float32Array(bytes.buffer);
  const codes = new Uint8Array(values.length);
  for (let block = 0; block < values.length; block++) {
    const value = values[block]!;
    codes[block] = encodeE4m3(value);
    if (decodeE4m3(codes[block]!) === value || Number.isNaN(value)) continue;
    return refuse(linear.scales.path, "block scales must be values that E4M3 has", {
      given: `${value} at ${placeOf(linear, block)}`,
      path: linear.scales.name,
      remedy: "quantise the model anew; another scale would change the weights",
    });
  }
  return checkedCodes(linear, codes);
}

/** Index of the first code that is NaN or below 0, -1 where there is none. */
export function firstBadScale(codes: Uint8Array): number {
  // From 0x7f on all but 0x80, which is -0, are NaN or negative.
  for (let block = 0; block < codes.length; block++) {
    if (codes[block]! >= nanE4m3 && codes[block] !== 0x80) return block;
  }
  return -1;
}

function checkedCodes(linear: QuantizedLinear, codes: Uint8Array): Checked<Uint8Array> {
  const block = firstBadScale(codes);
  if (block < 0) return Either.right(codes);
  const value = decodeE4m3(codes[block]!);
  return refuse(linear.scales.path, "block scales must be numbers of at least 0", {
    given: `${value} at ${placeOf(linear, block)}`,
    path: linear.scales.name,
    remedy: "fetch the checkpoint again, or find out which training step broke it",
  });
}

function placeOf({ shape }: QuantizedLinear, block: number): string {
  const blocks = shape[1] / 16;
  return `row ${Math.floor(block / blocks)}, block ${block % blocks}`;
}

/** Reads the block scales of all linears. Left: each linear with a scale that is no number of at least 0. */
export async function checkScales(
  linears: Iterable<QuantizedLinear>,
): Promise<Either.Either<Problems, void>> {
  const problems: Problem[] = [];
  for (const linear of linears) {
    const codes = await scaleCodesOf(linear);
    if (Either.isLeft(codes)) problems.push(...codes.left);
  }
  return unlessProblems(problems, () => undefined);
}
