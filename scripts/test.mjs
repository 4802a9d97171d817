// Runs the uvu suites under test/ straight from the TypeScript sources and closes with one line of counts.
//   node scripts/test.mjs [PATTERN]      PATTERN: a regular expression over paths below test/
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
// uvu exports its library only; the runner lies beside it.
const uvu = join(dirname(createRequire(import.meta.url).resolve("uvu")), "..", "bin.js");
const pattern = process.argv[2] ?? "\\.test\\.ts$";
// Plans of this run are nobody else's.
const cache = mkdtempSync(join(tmpdir(), "weft-test-cache-"));
const child = spawn(
  process.execPath,
  ["--conditions=source", "--import", "tsx", uvu, "test", pattern, "--ignore", "fixtures|golden"],
  {
    cwd: root,
    env: {
      ...process.env,
      WEFT_CACHE_DIR: cache,
      ...(process.stdout.isTTY ? { FORCE_COLOR: "1" } : { NO_COLOR: "1" }),
    },
    stdio: ["ignore", "pipe", "inherit"],
  },
);
let tail = "";
child.stdout.on("data", (chunk) => {
  process.stdout.write(chunk);
  tail = (tail + chunk).slice(-4000);
});
child.on("close", (code) => {
  rmSync(cache, { recursive: true, force: true });
  const count = (label) => Number(new RegExp(`${label}:\\s+(\\d+)`).exec(tail)?.[1] ?? 0);
  const [total, passed, skipped] = ["Total", "Passed", "Skipped"].map(count);
  console.log(`${passed} passed, ${total - passed} failed, ${skipped} skipped`);
  // A run that executed nothing has proved nothing.
  process.exit(code !== 0 ? code : total === 0 ? 1 : 0);
});
