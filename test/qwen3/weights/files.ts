import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatProblems, type Problems } from "@weft/dsl";
import * as Either from "fp-ts/lib/Either.js";
import * as assert from "uvu/assert";

export const fixtures = join(import.meta.dirname, "../../fixtures");

/** Runs with a directory of its own that is removed afterwards. */
export async function inDirectory<A>(work: (directory: string) => A | Promise<A>): Promise<A> {
  const directory = mkdtempSync(join(tmpdir(), "weft-weights-"));
  try {
    return await work(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** A safetensors file with any header text and any data, lies included. */
export function writeRaw(
  file: string,
  header: unknown,
  data: Uint8Array | number,
  headerLength?: bigint,
): string {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(headerLength ?? BigInt(json.length));
  writeFileSync(file, Buffer.concat([length, json, typeof data === "number" ? Buffer.alloc(data) : data]));
  return file;
}

export function right<A>(result: Either.Either<Problems, A>): A {
  if (Either.isLeft(result)) throw new Error(formatProblems(result.left));
  return result.right;
}

export function left(result: Either.Either<Problems, unknown>): string[] {
  if (Either.isRight(result)) throw new Error("was accepted");
  return formatProblems(result.left).split("\n");
}

/** Exactly one problem, whose line holds all of the parts. */
export function refusedWith(result: Either.Either<Problems, unknown>, ...parts: string[]): void {
  const lines = left(result);
  assert.is(lines.length, 1, lines.join("\n"));
  for (const part of parts) assert.ok(lines[0]!.includes(part), `"${part}" in: ${lines[0]}`);
}
