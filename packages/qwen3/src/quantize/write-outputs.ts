/** The second pass: every byte of the new file at its place, each linear encoded once. */
import { open } from "node:fs/promises";
import { decodeE4m3, encodeE4m3 } from "@weft/dsl";
import * as Either from "fp-ts/lib/Either.js";
import { userProblem, WeftError } from "../config/problems.ts";
import type { FileLayout } from "../weights/file-layout.ts";
import {
  type FilePart,
  type Nvfp4Format,
  type Piece,
  type QuantizedLinear,
  readPieces,
  scaleCodesOf,
} from "../weights/index.ts";
import type { BlockSums } from "./block-statistics.ts";
import { encodeLinear, tensorScaleOf } from "./encode.ts";
import type { LinearToEncode } from "./items.ts";
import { encodeScaleFor, type OnBytes } from "./measure.ts";
import { type Output, outputBytes } from "./outputs.ts";
import { formOf } from "./tensor-scale.ts";

const copyBytes = 2 ** 22;

export interface WriteOptions {
  readonly format: Nvfp4Format;
  readonly fourOverSix: boolean;
  readonly amax: ReadonlyMap<string, number>;
  readonly onBytes: OnBytes;
}

type Put = (bytes: Uint8Array, at: number) => Promise<void>;

/** @returns what became of each linear that was encoded. @throws WeftError and the errors of a disk that refuses. */
export async function writeOutputs(
  file: string,
  outputs: readonly Output[],
  layout: FileLayout,
  options: WriteOptions,
): Promise<ReadonlyMap<LinearToEncode, BlockSums>> {
  const sums = new Map<LinearToEncode, BlockSums>();
  const handle = await open(file, "wx");
  try {
    const put: Put = async (bytes, at) => {
      for (let done = 0; done < bytes.length; ) {
        done += (await handle.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
      }
    };
    for (const { at, bytes } of layout.fixed) await put(bytes, at);
    const places = new Map<LinearToEncode, Partial<Record<"codes" | "scales" | "tensorScale", number>>>();
    for (const [index, output] of outputs.entries()) {
      const at = layout.begins[index]!;
      const { fill } = output;
      switch (fill.from) {
        case "copy":
          await copy(fill.part, at, put, options.onBytes);
          break;
        case "number":
          await put(f32(fill.value), at);
          options.onBytes(4);
          break;
        case "scales":
          await put(await rescaled(fill.linear, fill.factor), at);
          options.onBytes(outputBytes(output));
          break;
        case "encoder":
          places.set(fill.linear, { ...places.get(fill.linear), [fill.part]: at });
          break;
        default:
          fill satisfies never;
      }
    }
    for (const [linear, { codes, scales, tensorScale }] of places) {
      sums.set(linear, await encode(linear, codes!, scales!, tensorScale, put, options));
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  return sums;
}

const f32 = (value: number) => new Uint8Array(Float32Array.of(value).buffer);

async function copy(part: FilePart, at: number, put: Put, onBytes: OnBytes): Promise<void> {
  let done = 0;
  for await (const bytes of readPieces(part, piecesOf(part.bytes))) {
    await put(bytes, at + done);
    done += bytes.length;
    onBytes(bytes.length);
  }
}

function* piecesOf(bytes: number): Generator<Piece> {
  for (let from = 0; from < bytes; from += copyBytes)
    yield { from, length: Math.min(copyBytes, bytes - from) };
}

/** Codes of the block scales times a factor, each of which must be a value of E4M3. */
async function rescaled(linear: QuantizedLinear, factor: number): Promise<Uint8Array> {
  const codes = await scaleCodesOf(linear);
  if (Either.isLeft(codes)) throw new WeftError(codes.left);
  if (factor === 1) return codes.right;
  return codes.right.map((code) => {
    const scaled = decodeE4m3(code) * factor;
    const own = encodeE4m3(scaled);
    if (decodeE4m3(own) === scaled) return own;
    throw new WeftError([
      userProblem(linear.scales.path, "block scales times the tensor's scale must be values that E4M3 has", {
        given: `${decodeE4m3(code)} x ${factor}`,
        path: linear.name,
        remedy: "a .dat file has no scale of a tensor: quantise a plain checkpoint to it instead",
      }),
    ]);
  });
}

async function encode(
  linear: LinearToEncode,
  codesAt: number,
  scalesAt: number,
  tensorScaleAt: number | undefined,
  put: Put,
  { format, fourOverSix, amax, onBytes }: WriteOptions,
): Promise<BlockSums> {
  const encodeScale = encodeScaleFor(format, amax.get(linear.name)!);
  const putAt = (begin: number) => async (bytes: Uint8Array, at: number) => {
    await put(bytes, begin + at);
    onBytes(bytes.length);
  };
  const parts = { codes: putAt(codesAt), scales: putAt(scalesAt) };
  const sums = await encodeLinear(linear, { encodeScale, fourOverSix }, parts);
  if (tensorScaleAt !== undefined && format !== "dat") {
    await put(f32(formOf(format) === "divide" ? encodeScale : tensorScaleOf(encodeScale)), tensorScaleAt);
    onBytes(4);
  }
  return sums;
}
