/** `weft quantize` as a user runs it: a whole process, from a bf16 checkpoint in the page cache to files on the disk. */
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { endedChildrenSeconds } from "../machine/others.ts";
import type { ModelFiles } from "../model/make.ts";
import { runToEnd } from "./start.ts";

export interface Quantizing {
  /** Of the checkpoint's tensors. It is read twice, which counts once here. */
  readonly inputBytes: number;
  readonly seconds: number;
  /** Of all its threads, Node's start included. */
  readonly processorSeconds: number;
}

/** Linears, embedding and head; what it wrote is removed. */
export async function timeQuantizing({ directory, weightBytes }: ModelFiles): Promise<Quantizing> {
  const out = `${directory}-quantizing-${process.pid}`;
  const command = fileURLToPath(new URL("../../packages/cli/bin/weft.js", import.meta.url));
  const before = endedChildrenSeconds();
  const started = performance.now();
  try {
    await runToEnd({
      name: "weft quantize",
      arguments: [command, "quantize", directory, "--out", out, "--embedding", "--json"],
    });
    return {
      inputBytes: weightBytes,
      seconds: (performance.now() - started) / 1000,
      processorSeconds: endedChildrenSeconds() - before,
    };
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}
