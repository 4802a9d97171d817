/**
 * What weights hold, as hashes by name. A run that trains adapters or some layers goes on only with the very weights
 * that it began with, and nothing about a file but its content tells that: a copy has another time, and a model that
 * was trained further has the same size and header. Reading them costs what loading them costs.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import type { Weight } from "@weft/runtime";
import { messageOf, userProblem, WeftError } from "../config/problems.ts";
import { isInBlocks, type StoredBlocks, scalesOf } from "./stored-blocks.ts";

/** Half of a SHA-256 in hexadecimal, of dtype and bytes, and of scales, for each name. @throws WeftError where a file cannot be read */
export async function hashWeights(
  names: readonly string[],
  weights: (name: string) => Weight | undefined,
): Promise<Readonly<Record<string, string>>> {
  const hashes: [string, string][] = [];
  for (const name of names) {
    const weight = weights(name);
    if (weight !== undefined) hashes.push([name, await hashOf(weight, name, scalesOf(weights, name))]);
  }
  return Object.fromEntries(hashes);
}

async function hashOf(
  weight: Weight,
  name: string,
  { tensorScale }: Pick<StoredBlocks, "tensorScale">,
): Promise<string> {
  const hash = createHash("sha256").update(`${weight.dtype}\n`);
  if (isInBlocks(weight)) hash.update(Float32Array.of(tensorScale));
  const parts = weight.kind === "file" ? [weight, weight.scales] : [weight.data, weight.scales];
  for (const part of parts) {
    if (part === undefined) continue;
    if (ArrayBuffer.isView(part)) {
      hash.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
      continue;
    }
    const { path, offset, bytes } = part;
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
