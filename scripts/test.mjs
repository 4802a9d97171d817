// Runs the uvu suites under test/ straight from the TypeScript sources and closes with one line of counts.
//   node scripts/test.mjs [PATTERN]      PATTERN: a regular expression over paths below test/
//
// Files run in several processes at once (WEFT_TEST_JOBS, default: as many as there are processors, at most 4), a few
// files to a process; what a process prints is shown when it ends.
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
// uvu exports its library only; the runner lies beside it.
const uvu = join(dirname(createRequire(import.meta.url).resolve("uvu")), "..", "bin.js");
const pattern = new RegExp(process.argv[2] ?? "\\.test\\.ts$", "i");
const jobs = Number(process.env.WEFT_TEST_JOBS) || Math.min(4, availableParallelism());

const files = readdirSync(join(root, "test"), { recursive: true })
  .map((file) => file.replaceAll("\\", "/"))
  .filter(
    (file) => pattern.test(file) && !/fixtures|golden|node_modules/.test(file) && /\.[cm]?[jt]s$/.test(file),
  )
  .sort();

// The long ones first and alone, so that no processor waits for one of them at the end.
const isLong = (file) =>
  /nvcc|random-graphs|parity|oracle|fuzz|^gpu\/|session\.test|host-compiler|^cli\/|examples/.test(file);
const filesOfProcess = 8;
const batches = files.filter(isLong).map((file) => [file]);
const short = files.filter((file) => !isLong(file));
for (let first = 0; first < short.length; first += filesOfProcess) {
  batches.push(short.slice(first, first + filesOfProcess));
}

const kernels = mkdtempSync(join(tmpdir(), "weft-test-kernels-"));
process.on("exit", () => rmSync(kernels, { recursive: true, force: true }));

// Kernels of tests run on small sizes, mostly once: the simulator's compiler takes more time than they do. The oracle's,
// and whoever has flags of his own, have them as users do.
const simulatorFlags = (batch) =>
  process.env.WEFT_SIM_FLAGS ?? (batch.some((file) => /oracle/.test(file)) ? "" : "-O0");

const counts = { Total: 0, Passed: 0, Skipped: 0 };
let failed = 0;
const running = new Set();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    for (const child of running) child.kill("SIGKILL");
    process.exit(1);
  });
}

/** One process over some files: its exit code is counted, and what it printed is shown. */
function runBatch(batch) {
  // Plans of this process are nobody else's; kernels are found by all that they depend on, so they are everybody's.
  const cache = mkdtempSync(join(tmpdir(), "weft-test-cache-"));
  symlinkSync(kernels, join(cache, "kernels"), "dir");
  const names = batch.map((file) => file.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  return new Promise((done) => {
    const child = spawn(
      process.execPath,
      ["--conditions=source", "--import", "tsx", uvu, "test", `^(?:${names})$`],
      {
        cwd: root,
        env: {
          ...process.env,
          WEFT_CACHE_DIR: cache,
          WEFT_SIM_FLAGS: simulatorFlags(batch),
          ...(process.stdout.isTTY ? { FORCE_COLOR: "1" } : { NO_COLOR: "1" }),
        },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    running.add(child);
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text) => {
        output += text;
      });
    }
    child.on("close", (code, signal) => {
      running.delete(child);
      rmSync(cache, { recursive: true, force: true });
      const tail = output.slice(-4000);
      const read = (label) => Number(new RegExp(`${label}:\\s+(\\d+)`).exec(tail)?.[1] ?? 0);
      for (const label of Object.keys(counts)) counts[label] += read(label);
      process.stdout.write(output.replace(/\n\s+Total:[\s\S]*$/, "\n"));
      // What a machine lacks is skipped, and said; a file without any test is a mistake.
      if (code !== 0 || read("Total") + read("Skipped") === 0) {
        failed++;
        console.log(`FAILED with ${signal ?? `exit code ${code}`}: ${batch.join(", ")}\n`);
      }
      done();
    });
  });
}

await Promise.all(
  Array.from({ length: jobs }, async () => {
    for (let batch = batches.shift(); batch !== undefined; batch = batches.shift()) await runBatch(batch);
  }),
);
console.log(`${counts.Passed} passed, ${counts.Total - counts.Passed} failed, ${counts.Skipped} skipped`);
// A run that executed nothing has proved nothing.
process.exit(failed > 0 || counts.Total === 0 ? 1 : 0);
