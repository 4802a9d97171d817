/** One side of the comparison: a process that is told on its standard input what to do, a line for each request. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { StepFigures } from "@weft/runtime";
import { batch } from "./shapes.ts";

export interface CandidateDescription {
  readonly name: string;
  readonly isPeer: boolean;
  readonly command: readonly string[];
}

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));

/** The interpreter of `scripts/torch-peer`. */
const installedPython = here("../../.cache/torch/bin/python");

/** @param python of an environment that has torch and transformers; default: the one of scripts/torch-peer. */
export function candidatesOf(
  directory: string,
  threads: number,
  python = installedPython,
): CandidateDescription[] {
  const { documents, length } = batch;
  const ours = {
    name: "Weft",
    isPeer: false,
    command: [
      process.execPath,
      here("ours.mjs"),
      directory,
      ...[threads, documents, length].map((one) => String(one)),
    ],
  };
  if (!existsSync(python)) return [ours];
  const size = ["--batch", String(documents), "--length", String(length), "--threads", String(threads)];
  const peer = (variant: string): CandidateDescription => ({
    name: `PyTorch ${variant}`,
    isPeer: true,
    command: [python, here("peer.py"), "--model", directory, "--variant", variant, ...size],
  });
  return [ours, peer("eager"), peer("compiled")];
}

export const howToInstallPeer =
  "PyTorch is not there, so ours runs alone; to compare: scripts/torch-peer, or --python PATH";

export interface Trained {
  readonly milliseconds: readonly number[];
  readonly losses: readonly number[];
}

export interface MemoryUse {
  /** The process's most resident bytes. */
  readonly peakBytes: number;
  /** Ours only: what the plan says, and how many kernels it has. */
  readonly planned?: Readonly<Record<string, number>>;
  readonly kernels?: number;
}

export class Candidate implements Disposable {
  readonly name: string;
  readonly isPeer: boolean;
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  constructor({ name, isPeer, command }: CandidateDescription) {
    this.name = name;
    this.isPeer = isPeer;
    const [program, ...given] = command;
    this.#process = spawn(program!, given, { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  /** Waits until the model is loaded. */
  async open(): Promise<{ readonly version: string }> {
    return this.#answer("loading");
  }

  train(steps: number): Promise<Trained> {
    return this.#ask({ steps });
  }

  /** Ours only. */
  profile(steps: number): Promise<{ readonly steps: readonly StepFigures[] }> {
    return this.#ask({ profile: steps });
  }

  memory(): Promise<MemoryUse> {
    return this.#ask({ memory: true });
  }

  [Symbol.dispose](): void {
    this.#process.kill();
  }

  #ask<A>(request: object): Promise<A> {
    this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    return this.#answer(JSON.stringify(request));
  }

  async #answer<A>(during: string): Promise<A> {
    for (;;) {
      const { done, value } = await this.#lines.next();
      if (done) throw new Error(`[bench] ${this.name} ended during ${during}`);
      // Libraries print lines of their own.
      if (value.startsWith("{")) return JSON.parse(value) as A;
    }
  }
}
