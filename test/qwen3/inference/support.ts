import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WeftError } from "@weft/dsl";
import * as assert from "uvu/assert";

/** Runs with a directory of its own that is removed afterwards. */
export async function inDirectory<A>(work: (directory: string) => A | Promise<A>): Promise<A> {
  const directory = mkdtempSync(join(tmpdir(), "weft-inference-"));
  try {
    return await work(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** The message of the WeftError that a call must reject with, after a look for all parts. */
export async function rejectsWith(
  work: () => Promise<unknown>,
  ...parts: readonly string[]
): Promise<string> {
  try {
    await work();
  } catch (error) {
    assert.instance(error, WeftError, String((error as Error).stack));
    const { message } = error as WeftError;
    for (const part of parts) assert.ok(message.includes(part), `"${part}" in: ${message}`);
    return message;
  }
  throw new Error("must be refused");
}
