/** Looks for NaN and infinity in stored weights: one of them makes every output NaN, far from its cause. */
import { open } from "node:fs/promises";
import * as Either from "fp-ts/lib/Either.js";
import {
  messageOf,
  type Problem,
  type Problems,
  refuse,
  unlessProblems,
  userProblem,
} from "../config/problems.ts";
import type { TensorEntry } from "./header.ts";

export interface NonFinite {
  /** The parameter. */
  readonly name: string;
  /** Index in row-major order. */
  readonly index: number;
  readonly value: "NaN" | "Infinity" | "-Infinity";
}

const pieceBytes = 1024 * 1024;

/**
 * The first NaN or infinity of a tensor, undefined where there is none. F64, F32, F16 and BF16 are scanned, other
 * types are taken as finite. Streams the data in pieces of 1 MB without blocking the event loop.
 */
export async function findNonFinite(
  entry: TensorEntry,
): Promise<Either.Either<Problems, NonFinite | undefined>> {
  const scan = scanners[entry.dtype];
  if (scan === undefined) return Either.right(undefined);
  try {
    const file = await open(entry.file, "r");
    try {
      const buffer = new ArrayBuffer(Math.min(pieceBytes, entry.end - entry.begin));
      for (let at = entry.begin; at < entry.end; ) {
        const length = Math.min(buffer.byteLength, entry.end - at);
        const view = new Uint8Array(buffer, 0, length);
        for (let done = 0; done < length; ) {
          const { bytesRead } = await file.read(view, done, length - done, at + done);
          if (bytesRead === 0) throw new Error(`the file ends at byte ${at + done}`);
          done += bytesRead;
        }
        const found = scan(buffer, length);
        if (found !== undefined) {
          const elementBytes =
            (entry.end - entry.begin) / entry.shape.reduce((product, size) => product * size, 1);
          const index = (at - entry.begin) / elementBytes + found.index;
          return Either.right({ name: entry.name, index, value: found.value });
        }
        at += length;
      }
      return Either.right(undefined);
    } finally {
      await file.close();
    }
  } catch (error) {
    return refuse(entry.file, "must be readable", {
      given: messageOf(error),
      path: entry.name,
      remedy: "do not change a checkpoint while it is used",
    });
  }
}

/** The problem to report for a value found. */
export function nonFiniteProblem(found: NonFinite, file: string): Problem {
  return userProblem(file, "weights must be finite", {
    given: `${found.value} at flat index ${found.index}`,
    path: found.name,
    remedy: "fetch the checkpoint again, or find out which training step broke it",
  });
}

/**
 * Scans tensors one after the other.
 *
 * Left: one problem for each tensor that has a NaN or infinity, or cannot be read; all together.
 */
export async function checkFinite(entries: Iterable<TensorEntry>): Promise<Either.Either<Problems, void>> {
  const problems: Problem[] = [];
  for (const entry of entries) {
    const found = await findNonFinite(entry);
    if (Either.isLeft(found)) problems.push(...found.left);
    else if (found.right !== undefined) problems.push(nonFiniteProblem(found.right, entry.file));
  }
  return unlessProblems(problems, () => undefined);
}

interface Found {
  readonly index: number;
  readonly value: NonFinite["value"];
}

type Scan = (buffer: ArrayBuffer, bytes: number) => Found | undefined;

/** Sixteen-bit types: not finite exactly when all exponent bits are set. */
const scan16 =
  (exponent: number): Scan =>
  (buffer, bytes) => {
    const words = new Uint16Array(buffer, 0, bytes / 2);
    for (let index = 0; index < words.length; index++) {
      const word = words[index]!;
      if ((word & exponent) === exponent)
        return { index, value: nonFiniteKind(word & ~exponent & 0x7fff, word >>> 15) };
    }
    return undefined;
  };

const scan32: Scan = (buffer, bytes) => {
  const words = new Uint32Array(buffer, 0, bytes / 4);
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    if ((word & 0x7f800000) === 0x7f800000)
      return { index, value: nonFiniteKind(word & 0x7fffff, word >>> 31) };
  }
  return undefined;
};

const scan64: Scan = (buffer, bytes) => {
  const values = new Float64Array(buffer, 0, bytes / 8);
  const index = values.findIndex((value) => !Number.isFinite(value));
  return index < 0 ? undefined : { index, value: String(values[index]) as NonFinite["value"] };
};

const nonFiniteKind = (fraction: number, sign: number): NonFinite["value"] =>
  fraction !== 0 ? "NaN" : sign === 1 ? "-Infinity" : "Infinity";

const scanners: Partial<Record<TensorEntry["dtype"], Scan>> = {
  F16: scan16(0x7c00),
  BF16: scan16(0x7f80),
  F32: scan32,
  F64: scan64,
};
