/**
 * Plans that were compiled before. A plan is plain data with a content hash, so a model that is opened again with the
 * same options starts without compiling. The key covers everything that a plan depends on: the configuration, the
 * options, how each parameter is stored, and the sources of the compiler itself.
 *
 * The cache is a convenience: whatever goes wrong with it, the model is compiled as if there were none.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { type BuiltPlan, type Compiled, hashPlan, planVersion } from "@weft/compiler";
import { makeFolder } from "@weft/runtime";

/** Plans kept; the ones not used for longest go first. A plan of 36 layers takes about 0.2 MB. */
const mostPlans = 64;

/** Names, sizes and times of the files that decide what a plan looks like: a changed compiler makes new keys. */
function sourcesOf(folder: string): string {
  return readdirSync(folder, { withFileTypes: true })
    .map((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return sourcesOf(path);
      if (!/\.[jt]s$/.test(entry.name)) return "";
      const { size, mtimeMs } = statSync(path);
      return `${path} ${size} ${mtimeMs}\n`;
    })
    .join("");
}

let fingerprint: string | undefined;

function compilerFingerprint(): string {
  const require = createRequire(import.meta.url);
  fingerprint ??= ["@weft/dsl", "@weft/compiler"]
    .map((name) => sourcesOf(dirname(require.resolve(name))))
    .concat(sourcesOf(join(import.meta.dirname, "../model")))
    .join("");
  return fingerprint;
}

/** `inputs`: all that the compilation is given, as plain JSON. */
export function planKey(inputs: unknown): string {
  return createHash("sha256")
    .update(`${planVersion}\n${compilerFingerprint()}\n${JSON.stringify(inputs)}`)
    .digest("hex");
}

/** The plan kept under a key, or undefined: absent, unreadable or not what was written. */
export function readPlan(directory: string, key: string): Compiled | undefined {
  const started = performance.now();
  const file = join(directory, `${key}.json`);
  try {
    const { plan, programs } = JSON.parse(readFileSync(file, "utf8")) as Pick<BuiltPlan, "plan" | "programs">;
    if (plan.version !== planVersion || plan.hash !== hashPlan(plan)) return undefined;
    if (!Array.isArray(programs) || programs.length !== plan.programs.length) return undefined;
    const now = new Date();
    utimesSync(file, now, now);
    return { plan, programs, groups: [], compiled: [], milliseconds: performance.now() - started };
  } catch {
    return undefined;
  }
}

/** Keeps a plan; written beside and renamed, so that a reader never sees half of it. */
export function writePlan(directory: string, key: string, { plan, programs }: Compiled): void {
  const temporary = join(directory, `${key}.${process.pid}.tmp`);
  try {
    makeFolder(directory);
    writeFileSync(temporary, JSON.stringify({ plan, programs }));
    renameSync(temporary, join(directory, `${key}.json`));
    evictLeastRecentlyUsed(directory);
  } catch {
    // A read-only or full disk costs the next start its head start, nothing else.
    try {
      rmSync(temporary, { force: true });
    } catch {
      // There is no such folder.
    }
  }
}

/** Removes all plans but those that were read or written last. */
function evictLeastRecentlyUsed(directory: string): void {
  const files = readdirSync(directory)
    .filter((name) => name.endsWith(".json"))
    .map((name) => ({ path: join(directory, name), time: statSync(join(directory, name)).mtimeMs }))
    .sort((a, b) => b.time - a.time);
  for (const { path } of files.slice(mostPlans)) rmSync(path, { force: true });
}
