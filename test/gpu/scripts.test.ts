/** test:gpu and bench:gpu on the simulated GPU, in their short forms. What only a GPU can show is not shown here. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Checks, Skipped } from "./checks.ts";
import { sanitizerVerdict } from "./sanitize.ts";

const root = resolve(import.meta.dirname, "../..");
const test = suite("gpu scripts");

const run = (script: string, ...args: readonly string[]) =>
  spawnSync(process.execPath, ["--conditions=source", "--import", "tsx", join(root, script), ...args], {
    cwd: root,
    encoding: "utf8",
  });

test("test:gpu: every check of the short form holds on cuda-sim, and a table comes last", () => {
  const { status, stdout, stderr } = run("test/gpu/run.ts", "--device", "cuda-sim", "--short");
  assert.is(status, 0, stderr);
  assert.match(stdout, /greedy text +passed/);
  assert.match(stdout, /a kernel that does not compile +passed/);
  assert.match(stdout, /\n\d+ passed, 0 failed, 0 skipped\n$/);
});

test("bench:gpu: the whole way on cuda-sim, and no figure is written", () => {
  const out = mkdtempSync(join(tmpdir(), "weft-gpu-bench-"));
  try {
    const { status, stdout, stderr } = run(
      "bench/gpu/run.ts",
      ...["--device", "cuda-sim", "--models", "tiny", "--contexts", "8", "--tokens", "2", "--out", out],
    );
    assert.is(status, 0, stderr);
    for (const kind of ["decode", "step", "prefill"]) assert.match(stdout, `tiny ${kind} weft`);
    assert.match(stdout, /4b decode at 1024 .* not measured/);
    assert.equal(readdirSync(out), []);
  } finally {
    rmSync(out, { recursive: true });
  }
});

test("options that make no sense", () => {
  for (const args of [
    ["--device", "tpu"],
    ["--sanitize", "memcheck", "--device", "cuda-sim"],
  ])
    assert.is(run("test/gpu/run.ts", ...args).status, 2, args.join(" "));
  for (const args of [["--models", "70b"], ["--minutes", "0"], ["--contexts", "1.5"], ["--unknown"]])
    assert.is(run("bench/gpu/run.ts", ...args).status, 2, args.join(" "));
});

test("checks: a failure and a skip are told, the others go on", async () => {
  const checks = new Checks(/^(a|b|c)$/, () => {});
  await checks.check("a", async () => "1");
  await checks.check("b", () => Promise.reject(new Error("wrong\nin detail")));
  await checks.check("c", () => Promise.reject(new Skipped("not here")));
  await checks.check("d", async () => "not wanted");
  assert.equal(
    checks.outcomes.map(({ result }) => result),
    ["passed", "FAILED", "skipped"],
  );
  assert.match(checks.report(), /b +FAILED +0\.0 {2}wrong\n/);
  assert.match(checks.report(), /1 passed, 1 failed, 1 skipped$/);
  assert.not(checks.isGood);
  assert.not(new Checks().isGood);
});

test("the sanitizer's verdict is read from its last lines", () => {
  const line = (text: string) => sanitizerVerdict(`========= COMPUTE-SANITIZER\n========= ${text}\n`);
  assert.equal(line("ERROR SUMMARY: 0 errors"), { errors: 0, line: "ERROR SUMMARY: 0 errors" });
  assert.is(line("ERROR SUMMARY: 1 error")?.errors, 1);
  assert.is(line("RACECHECK SUMMARY: 3 hazards displayed (1 error, 2 warnings)")?.errors, 3);
  assert.is(line("no such thing"), undefined);
});

test.run();
