/** What is compared: each candidate is a process of its own that is asked for one piece of work at a time. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { ModelFiles } from "../model/make.ts";

export interface CandidateDescription {
  readonly name: string;
  readonly program: "ours.mjs" | "peer.mjs";
  readonly arguments: readonly string[];
}

export const peerVersion = "3.22.1";

export function candidatesOf(model: ModelFiles, threads: number): CandidateDescription[] {
  const ours = (dtype: string): CandidateDescription => ({
    name: `ours ${dtype}`,
    program: "ours.mjs",
    arguments: [model.directory, dtype, String(threads)],
  });
  const peer: CandidateDescription = {
    name: peerName,
    program: "peer.mjs",
    arguments: [model.gguf, String(threads)],
  };
  return [ours("bf16"), ours("f32"), ...(peerIsInstalled() ? [peer] : [])];
}

export const peerName = "node-llama-cpp bf16";

export const peerIsInstalled = (): boolean =>
  existsSync(fileURLToPath(new URL("node_modules/node-llama-cpp/package.json", import.meta.url)));

export const howToInstallPeer = `node-llama-cpp ${peerVersion} is not installed, so ours runs alone; to compare: npm ci --ignore-scripts --prefix bench/decode-cpu`;

export interface Generated {
  readonly tokens: readonly number[];
  /** From the call to the first token. */
  readonly firstSeconds: number;
  /** Between one token and the next. */
  readonly gapSeconds: readonly number[];
  readonly processorSeconds: number;
}

export interface StepProfile {
  readonly kernel: string;
  readonly origins: readonly string[];
  readonly seconds: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly operations: number;
}

export class Candidate implements Disposable {
  readonly name: string;
  readonly #process: ChildProcess;

  constructor({ name, program, arguments: given }: CandidateDescription) {
    this.name = name;
    // No loader and no conditions of the parent: the built packages run.
    this.#process = fork(fileURLToPath(new URL(program, import.meta.url)), given, {
      execArgv: [],
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
  }

  load(capacity: number, chunk: number): Promise<void> {
    return this.#ask("load", { capacity, chunk });
  }

  /** Runs a prompt on an empty context and then generates. */
  generate(prompt: readonly number[], count: number): Promise<Generated> {
    return this.#ask("generate", { prompt, count });
  }

  /** Ours only. */
  bytesPerToken(past: number): Promise<number> {
    return this.#ask("bytesPerToken", { past });
  }

  memory(): Promise<{ readonly peak: number; readonly predicted?: number; readonly measured?: number }> {
    return this.#ask("memory", {});
  }

  /** Ours only. */
  profile(program: "prefill" | "decode", count: number, past: number): Promise<StepProfile[]> {
    return this.#ask("profile", { program, count, past });
  }

  [Symbol.dispose](): void {
    this.#process.kill();
  }

  async #ask<A>(kind: string, request: object): Promise<A> {
    const ended = new AbortController();
    const answer = Promise.race([
      once(this.#process, "message", { signal: ended.signal }),
      once(this.#process, "exit", { signal: ended.signal }).then(([code, signal]) => {
        throw new Error(`[bench] ${this.name} ended with ${signal ?? `exit code ${code}`} during ${kind}`);
      }),
    ]);
    this.#process.send({ kind, ...request });
    try {
      const [{ value, error }] = (await answer) as [{ value: A; error?: string }];
      if (error !== undefined) throw new Error(`[bench] ${this.name} failed during ${kind}: ${error}`);
      return value;
    } finally {
      ended.abort();
    }
  }
}
