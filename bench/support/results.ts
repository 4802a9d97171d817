/** Results as JSON with the device, the commit and the date, so that figures of different times can be told apart. */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { arch, cpus, totalmem } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

export interface Provenance {
  readonly device: {
    readonly processor: string;
    readonly cores: number;
    readonly memoryBytes: number;
    readonly architecture: string;
  };
  readonly node: string;
  /** With `+` where files were changed since. */
  readonly commit: string;
  readonly date: string;
}

export function provenance(): Provenance {
  const git = (...command: string[]) =>
    spawnSync("git", command, { cwd: root, encoding: "utf8" }).stdout?.trim();
  const changed = git("status", "--porcelain", "--", "packages", "bench");
  return {
    device: {
      processor: cpus()[0]?.model ?? "unknown",
      cores: cpus().length,
      memoryBytes: totalmem(),
      architecture: arch(),
    },
    node: process.version,
    commit: `${git("rev-parse", "--short", "HEAD") || "unknown"}${changed ? "+" : ""}`,
    date: new Date().toISOString(),
  };
}

/** Writes bench/results/NAME.PROCESSOR.json, the latest result of each kind of machine, and gives its path. */
export function writeResults(name: string, content: object): string {
  const about = provenance();
  const processor = about.device.processor
    .replace(/\((R|TM)\)|CPU|Processor|@/gi, " ")
    .trim()
    .replace(/[^A-Za-z0-9.]+/g, "-")
    .toLowerCase();
  const folder = join(root, "bench", "results");
  const file = join(folder, `${name}.${processor}.json`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, `${JSON.stringify({ ...about, ...content }, null, 2)}\n`);
  return relative(root, file);
}
