/** Writes a project whole or not at all. */
import { mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { makeFolder } from "@weft/runtime";
import { refuse } from "../terminal/refuse.ts";

/** That nothing stands there but perhaps an empty folder. */
export function checkDestination(out: string): void {
  const found = tryOrRefuse(() => statSync(out, { throwIfNoEntry: false }));
  if (found === undefined) return;
  const remedy = "give a new directory";
  if (!found.isDirectory()) refuse("--out", "must be a directory", { given: `${out}, a file`, remedy });
  const [first] = tryOrRefuse(() => readdirSync(out));
  if (first !== undefined) refuse("--out", "must be new or empty", { given: `${out} with ${first}`, remedy });
}

/** Everything goes to a folder beside it, which then takes its place. */
export function writeProject(out: string, files: ReadonlyMap<string, string>): void {
  const target = resolve(out);
  let temporary: string | undefined;
  try {
    makeFolder(dirname(target));
    const folder = `${target}.${process.pid}.tmp`;
    mkdirSync(folder);
    temporary = folder;
    for (const [path, text] of files) {
      const file = join(temporary, path);
      makeFolder(dirname(file));
      writeFileSync(file, text);
    }
    if (statSync(target, { throwIfNoEntry: false }) !== undefined) rmdirSync(target);
    renameSync(temporary, target);
  } catch (error) {
    if (temporary !== undefined) rmSync(temporary, { recursive: true, force: true });
    refuseWriting(error);
  }
}

function tryOrRefuse<A>(action: () => A): A {
  try {
    return action();
  } catch (error) {
    return refuseWriting(error);
  }
}

function refuseWriting(error: unknown): never {
  return refuse("--out", "must be writable", {
    given: error instanceof Error ? error.message : String(error),
    remedy: "check the directory and its permissions; nothing was written",
  });
}
