/** From the start of a process to its first token, with the weights in the page cache. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { endedChildrenSeconds, type Watched, watchOthers } from "../machine/others.ts";
import type { ModelFiles } from "../model/make.ts";
import { peerIsInstalled } from "./candidate.ts";

export interface StartProgram {
  readonly name: string;
  readonly arguments: readonly string[];
}

const prompt = "There is one typed block graph, and every way to run it is a pass.";

export function startPrograms(model: ModelFiles, threads: number): StartProgram[] {
  const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
  const count = String(threads);
  const command = [here("../../packages/cli/bin/weft.js"), "generate", model.directory];
  return [
    {
      name: "weft generate",
      arguments: [...command, "--prompt", prompt, "--max-tokens", "1", "--ignore-eos", "--dtype", "bf16"],
    },
    { name: "ours, library", arguments: [here("first-token-ours.mjs"), model.directory, count, prompt] },
    ...(peerIsInstalled()
      ? [{ name: "node-llama-cpp", arguments: [here("first-token-peer.mjs"), model.gguf, count, prompt] }]
      : []),
  ];
}

export interface Start {
  readonly seconds: number;
  readonly processorSeconds: number;
}

/** Seconds until the program writes its first byte. */
export function timeStart(program: StartProgram): Promise<Watched<Start>> {
  return watchOthers(
    async () => {
      const before = endedChildrenSeconds();
      const started = performance.now();
      const child = spawn(process.execPath, program.arguments, { stdio: ["ignore", "pipe", "inherit"] });
      const exit = once(child, "exit");
      const [first] = await Promise.race([once(child.stdout!, "data"), exit]);
      const seconds = (performance.now() - started) / 1000;
      const [code] = await exit;
      if (code !== 0 || !Buffer.isBuffer(first)) {
        throw new Error(`[bench] ${program.name} ended with exit code ${code} before its first token`);
      }
      return { seconds, processorSeconds: endedChildrenSeconds() - before };
    },
    ({ processorSeconds }) => processorSeconds,
  );
}

/** @throws Error where the program fails */
export async function runToEnd(program: StartProgram): Promise<void> {
  const child = spawn(process.execPath, program.arguments, { stdio: ["ignore", "ignore", "inherit"] });
  const [code] = await once(child, "exit");
  if (code !== 0) throw new Error(`[bench] ${program.name} ended with exit code ${code}`);
}
