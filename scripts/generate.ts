/**
 * Writes every generated file of the repository, or with `--check` only lists those that are stale and fails.
 *   node --conditions=source --import tsx scripts/generate.ts [--check]
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { opReference } from "./generate/op-reference.ts";
import { planHeader } from "./generate/plan-header.ts";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");

/** Each gives texts by path from the root. Texts depend on nothing but the repository's sources. */
const generators: ((root: string) => Map<string, string>)[] = [planHeader, opReference];

const stale: string[] = [];
for (const generator of generators) {
  for (const [path, text] of generator(root)) {
    const file = join(root, path);
    if (existsSync(file) && readFileSync(file, "utf8") === text) continue;
    stale.push(path);
    if (process.argv.includes("--check")) continue;
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    console.log(`wrote ${path}`);
  }
}
if (process.argv.includes("--check") && stale.length > 0) {
  console.error(
    `Stale generated files (run \`npm run generate\`):\n${stale.map((path) => `  ${path}`).join("\n")}`,
  );
  process.exit(1);
}
