/** The machine's limits, measured on demand by a small native program that is built at first use. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { cacheFolder } from "../model/make.ts";

export class Machine implements Disposable {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  /** @param threads as many as the benchmark's candidates use */
  constructor(threads: number) {
    this.#process = spawn(buildLimits(), [String(threads)], { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface({ input: this.#process.stdout! })[Symbol.asyncIterator]();
  }

  /** Bytes per second of the best of several walks over memory far beyond the caches. */
  async readBandwidth(): Promise<number> {
    return (await this.#ask<{ bytesPerSecond: number }>("read")).bytesPerSecond;
  }

  /** f32 operations per second; a multiply-add is two. */
  async multiplyAddRate(): Promise<number> {
    return (await this.#ask<{ operationsPerSecond: number }>("multiply-add")).operationsPerSecond;
  }

  [Symbol.dispose](): void {
    this.#process.stdin!.end();
  }

  async #ask<A>(command: string): Promise<A> {
    this.#process.stdin!.write(`${command}\n`);
    const line = await this.#lines.next();
    if (line.done) throw new Error(`[bench] the program that measures ${command} has ended`);
    return JSON.parse(line.value) as A;
  }
}

/** Builds the program where it is missing or old, and gives its path. */
function buildLimits(): string {
  const source = fileURLToPath(new URL(".", import.meta.url));
  const folder = join(cacheFolder, "machine");
  const cmake = (...given: string[]): string | undefined => {
    const { status, error, stdout, stderr } = spawnSync("cmake", given, { encoding: "utf8" });
    if (error)
      throw new Error("[bench] cmake must be installed to measure the machine's limits", { cause: error });
    return status === 0 ? undefined : `[bench] cmake ${given.join(" ")} failed:\n${stdout}${stderr}`;
  };
  // What an earlier place of this checkout left in the cache cannot be configured again.
  if (cmake("-S", source, "-B", folder) !== undefined) rmSync(folder, { recursive: true, force: true });
  const failure = cmake("-S", source, "-B", folder) ?? cmake("--build", folder);
  if (failure !== undefined) throw new Error(failure);
  return join(folder, "limits");
}
