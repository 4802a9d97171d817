/**
 * What weights hold, as hashes by name. A run that trains adapters or some layers goes on only with the very weights
 * that it began with, and nothing about a file but its content tells that: a copy has another time, and a model that
 * was trained further has the same size and header. Reading them costs what loading them costs.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import type { Weight } from "@weft/runtime";
import { messageOf, userProblem, WeftError } from "../config/problems.ts";

/** Half of a SHA-256 in hexadecimal, of dtype and bytes, for each name. @throws WeftError where a file cannot be read */
export async function hashWeights(
  names: readonly string[],
  weights: (name: string) => Weight | undefined,
): Promise<Readonly<Record<string, string>>> {
  const hashes: [string, string][] = [];
  for (const name of names) {
    const weight = weights(name);
    if (weight !== undefined) hashes.push([name, await hashOf(weight, name)]);
  }
  return Object.fromEntries(hashes);
}

async function hashOf(weight: Weight, name: string): Promise<string> {
  const hash = createHash("sha256").update(`${weight.dtype}\n`);
  if (weight.kind === "data") {
    const { buffer, byteOffset, byteLength } = weight.data;
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  } else {
    const { path, offset, bytes } = weight;
    try {
      const options = { start: offset, end: offset + bytes - 1, highWaterMark: 4 * 1024 * 1024 };
      for await (const piece of createReadStream(path, options)) hash.update(piece as Buffer);
    } catch (error) {
      throw new WeftError([
        userProblem(path, "must stay as it was when it was opened", {
          given: messageOf(error),
          path: name,
          remedy: "do not change a checkpoint while it is used",
        }),
      ]);
    }
  }
  return hash.digest("hex").slice(0, 32);
}
