/** What a folder of the cache holds: counted, and cleared. */
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { type CacheKind, cacheDirectory } from "./cache-directory.ts";

export interface CacheStatus {
  readonly kind: CacheKind;
  /** Empty where nothing is kept. */
  readonly directory: string;
  readonly entries: number;
  readonly bytes: number;
}

/** How entries of each kind are called; whatever else lies in the folder is not ours. */
const entryName: Readonly<Record<CacheKind, RegExp>> = {
  plans: /^[0-9a-f]{64}\.json$/,
  kernels: /^[0-9a-f]{64}\.kernel$/,
};
const leftover = /^[0-9a-f]{64}\..*\.tmp$/;

/** Entries and bytes of a kind. A folder that is absent or cannot be read holds none. */
export function cacheStatus(kind: CacheKind, environment: NodeJS.ProcessEnv = process.env): CacheStatus {
  const directory = cacheDirectory(kind, environment);
  const sizes = filesOf(directory, (name) => entryName[kind].test(name)).map(sizeOf);
  return { kind, directory, entries: sizes.length, bytes: sizes.reduce((sum, one) => sum + one, 0) };
}

/**
 * Removes all entries of a kind and gives what was there. Other files of the folder stay.
 * @throws the system's error for an entry that cannot be removed
 */
export function clearCache(kind: CacheKind, environment: NodeJS.ProcessEnv = process.env): CacheStatus {
  const before = cacheStatus(kind, environment);
  const ours = (name: string) => entryName[kind].test(name) || leftover.test(name);
  for (const file of filesOf(before.directory, ours)) rmSync(file, { force: true });
  return before;
}

function filesOf(directory: string, wanted: (name: string) => boolean): string[] {
  try {
    return directory === ""
      ? []
      : readdirSync(directory)
          .filter(wanted)
          .map((name) => join(directory, name));
  } catch {
    return [];
  }
}

/** Another process may remove an entry while we count. */
function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}
