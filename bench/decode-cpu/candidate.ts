/** What is compared: each candidate is a process of its own that is asked for one piece of work at a time. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { StepFigures } from "@weft/runtime";
import type { GgufType } from "../model/gguf.ts";
import type { FourBitFiles, ModelFiles } from "../model/make.ts";

export interface CandidateDescription {
  readonly name: string;
  readonly program: "ours.mjs" | "peer.mjs";
  readonly arguments: readonly string[];
  /** How the peer's matrices are stored. */
  readonly gguf?: GgufType;
}

export const peerVersion = "3.22.1";

/** Which weights are compared: as they were released, or in 4 bits, embedding and head included. */
export const weightKinds = ["bf16", "4bit"] as const;
export type WeightKind = (typeof weightKinds)[number];

export const names = {
  bf16: "ours bf16",
  f32: "ours f32",
  nvfp4: "ours NVFP4",
  peerBf16: "node-llama-cpp bf16",
  peerQ4_0: "node-llama-cpp Q4_0",
  peerMxfp4: "node-llama-cpp MXFP4",
} as const;

/** Whom each of ours is held against: the better of them counts. */
export const rivals: Readonly<Record<string, readonly string[]>> = {
  [names.bf16]: [names.peerBf16],
  [names.f32]: [names.peerBf16],
  [names.nvfp4]: [names.peerQ4_0, names.peerMxfp4],
};

export function candidatesOf(
  model: ModelFiles,
  fourBit: FourBitFiles | undefined,
  threads: number,
): Readonly<Record<WeightKind, readonly CandidateDescription[]>> {
  const ours = (name: string, directory: string, dtype: string): CandidateDescription => ({
    name,
    program: "ours.mjs",
    arguments: [directory, dtype, String(threads)],
  });
  const peer = (name: string, gguf: GgufType, file: string): CandidateDescription[] =>
    peerIsInstalled() ? [{ name, program: "peer.mjs", arguments: [file, String(threads)], gguf }] : [];
  return {
    bf16: [
      ours(names.bf16, model.directory, "bf16"),
      ours(names.f32, model.directory, "f32"),
      ...peer(names.peerBf16, "bf16", model.gguf),
    ],
    "4bit":
      fourBit === undefined
        ? []
        : [
            // With keys and values in 16 bits, as the peer has them.
            ours(names.nvfp4, fourBit.nvfp4, "bf16"),
            ...peer(names.peerQ4_0, "q4_0", fourBit.gguf.q4_0),
            ...peer(names.peerMxfp4, "mxfp4", fourBit.gguf.mxfp4),
          ],
  };
}

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

export class Candidate implements Disposable {
  readonly name: string;
  readonly gguf: GgufType | undefined;
  readonly #process: ChildProcess;

  constructor({ name, program, arguments: given, gguf }: CandidateDescription) {
    this.name = name;
    this.gguf = gguf;
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
  profile(program: "prefill" | "decode", count: number, past: number): Promise<StepFigures[]> {
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
