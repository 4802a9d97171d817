/** Whether results can be written where they are wanted, asked before minutes are spent on them. */
import { rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { refuse } from "./refuse.ts";

/**
 * That `--out` is a folder that can be written to, or can be made. Nothing is left behind.
 * @throws WeftError for a file in its place, and where nothing can be written
 */
export function checkWritableFolder(folder: string): void {
  const existing = firstExisting(resolve(folder));
  if (statSync(existing, { throwIfNoEntry: false })?.isDirectory() !== true)
    refuse("--out", "must be a folder", { given: `the file ${existing}`, remedy: "name another one" });
  const probe = join(existing, `.weft-${process.pid}.part`);
  try {
    writeFileSync(probe, "");
    rmSync(probe);
  } catch (error) {
    refuseUnwritable(folder, error);
  }
}

/** What the system said of a result that could not be written. */
export function refuseUnwritable(path: string, error: unknown): never {
  return refuse("--out", "must be writable", {
    given: error instanceof Error ? error.message : String(error),
    location: path,
    remedy: "check the folder, its permissions and the free space, or name another one",
  });
}

/** The path, or the nearest thing above it that is there: what is missing is made later. */
function firstExisting(path: string): string {
  const above = dirname(path);
  return above === path || exists(path) ? path : firstExisting(above);
}

function exists(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    // Below a file, or in a folder that nobody may look into: what is above is what stands in the way.
    return false;
  }
}
