/**
 * Compiled modules that are kept on disk, whichever compiler made them. An entry is found by the hash of everything that
 * its image depends on, and used only when its content matches its own hash and these inputs word by word.
 *
 * The cache is a convenience: whatever goes wrong with it, a module is compiled as if there were none.
 */
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory, makeFolder } from "@weft/runtime";
import type { Compilation, Compiler } from "./compiler.ts";
import { type KernelInputs, kernelKey, packEntry, unpackEntry } from "./kernel-entry.ts";

export interface KernelCacheOptions {
  /** Default: `cacheDirectory("kernels")`. Empty: nothing is kept. */
  readonly directory?: string;
  /** Entries not used for longest go when all take more bytes than this. Default 512 MiB. */
  readonly limitBytes?: number;
  /** Told in one sentence what was wrong with an entry that is thrown away. Default: nobody. */
  readonly remark?: (text: string) => void;
}

const suffix = ".kernel";
/** What a process that died in the middle left behind. */
const staleMilliseconds = 3_600_000;

export class KernelCache {
  readonly directory: string;
  readonly limitBytes: number;
  readonly #remark: (text: string) => void;

  constructor({
    directory = cacheDirectory("kernels"),
    limitBytes = 512 * 2 ** 20,
    remark = () => {},
  }: KernelCacheOptions = {}) {
    this.directory = directory;
    this.limitBytes = limitBytes;
    this.#remark = remark;
  }

  /** What was compiled from these inputs before, or undefined. A damaged entry is removed, with a remark. */
  read(inputs: KernelInputs): Compilation | undefined {
    if (this.directory === "") return undefined;
    const file = this.#file(inputs);
    let entry: Buffer;
    try {
      entry = readFileSync(file);
    } catch {
      return undefined;
    }
    const found = unpack(entry, inputs);
    try {
      if (typeof found !== "string") {
        const now = new Date();
        utimesSync(file, now, now);
        return found;
      }
      this.#remark(`[kernel cache] removed ${file}: ${found}; it is compiled again`);
      rmSync(file, { force: true });
    } catch {
      // In a read-only folder entries keep their times, and damaged ones stay.
    }
    return typeof found === "string" ? undefined : found;
  }

  /** Keeps a compilation; written beside and renamed, so that a reader never sees half of it. */
  write(inputs: KernelInputs, compilation: Compilation): void {
    if (this.directory === "") return;
    const file = this.#file(inputs);
    const temporary = `${file}.${randomUUID()}.tmp`;
    try {
      const entry = packEntry(inputs, compilation);
      if (entry.length > this.limitBytes) return;
      makeFolder(this.directory);
      writeFileSync(temporary, entry);
      renameSync(temporary, file);
      this.#evict();
    } catch {
      try {
        rmSync(temporary, { force: true });
      } catch {
        // There is no such folder.
      }
    }
  }

  #file(inputs: KernelInputs): string {
    return join(this.directory, `${kernelKey(inputs)}${suffix}`);
  }

  #evict(): void {
    const files = readdirSync(this.directory).flatMap((name) => {
      const path = join(this.directory, name);
      const { mtimeMs, size } = statSync(path);
      if (name.endsWith(".tmp") && Date.now() - mtimeMs > staleMilliseconds) rmSync(path, { force: true });
      return name.endsWith(suffix) ? [{ path, time: mtimeMs, size }] : [];
    });
    let bytes = files.reduce((sum, { size }) => sum + size, 0);
    for (const { path, size } of files.sort((a, b) => a.time - b.time)) {
      if (bytes <= this.limitBytes) return;
      rmSync(path, { force: true });
      bytes -= size;
    }
  }
}

function unpack(entry: Buffer, inputs: KernelInputs): Compilation | string {
  try {
    return unpackEntry(entry, inputs);
  } catch (error) {
    return `it cannot be read (${(error as Error).message})`;
  }
}

/** The image of a module with what its compiler printed: from the cache, else compiled now and kept. */
export async function cachedCompilation(
  cache: KernelCache,
  compiler: Compiler,
  source: string,
  target: string,
): Promise<Compilation> {
  const { name, version, flags } = compiler;
  const inputs: KernelInputs = { compiler: name, version, flags, target, source };
  const kept = cache.read(inputs);
  if (kept !== undefined) return kept;
  const compilation = await compiler.compile(source, target);
  cache.write(inputs, compilation);
  return compilation;
}
