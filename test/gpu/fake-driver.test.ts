/**
 * The scripts over a driver that executes nothing (test/runtime-cuda/fake): what they do on a GPU, but for the figures.
 * The benchmark goes its whole way and writes its file; the checks find that nothing was computed.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const root = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "weft-gpu-fake-"));
const libraries = { cuda: join(folder, "libcuda.so.1"), nvrtc: join(folder, "libnvrtc.so.13") };
const built = Object.entries(libraries).map(([name, output]) =>
  spawnSync(
    process.env.CC ?? "cc",
    ["-shared", "-fPIC", "-O1", "-o", output, join(root, `test/runtime-cuda/fake/lib${name}.c`)],
    { encoding: "utf8" },
  ),
);
const test = suite("gpu scripts over a driver that executes nothing");
test.after(() => rmSync(folder, { recursive: true }));

const run = (script: string, ...args: readonly string[]) =>
  spawnSync(process.execPath, ["--conditions=source", "--import", "tsx", join(root, script), ...args], {
    cwd: root,
    encoding: "utf8",
    env: {
      ...process.env,
      WEFT_LIBCUDA: libraries.cuda,
      WEFT_NVRTC: libraries.nvrtc,
      WEFT_FAKE_CUBIN: "1",
      WEFT_FAKE_LOG: "/dev/null",
      WEFT_CACHE_DIR: join(folder, "cache"),
      WEFT_BUNDLE_COMMIT: "abc1234",
      // No peer, whatever this machine has.
      WEFT_PYTHON: join(folder, "no-python"),
    },
  });

if (process.platform !== "linux" || built.some(({ status }) => status !== 0)) {
  console.log("skipped: the fake libraries need Linux and a C compiler");
} else {
  test("bench:gpu writes rows, kernels, targets, what is missing, and where it comes from", () => {
    const out = join(folder, "out");
    const { status, stdout, stderr } = run(
      "bench/gpu/run.ts",
      ...["--models", "tiny", "--contexts", "8,16", "--prefill", "8", "--tokens", "3", "--folder", folder],
      ...["--copy-gbs", "1000", "--matmul-tflops", "100", "--out", out],
    );
    assert.is(status, 0, stderr);
    assert.match(stdout, /PyTorch and transformers: .*no-python does not start/);
    assert.equal(readdirSync(out), ["gpu.fake-gpu-7.json"]);
    const result = JSON.parse(readFileSync(join(out, "gpu.fake-gpu-7.json"), "utf8"));
    assert.is(result.commit, "abc1234");
    assert.is(result.device.name, "fake GPU 7");
    assert.is(result.driver.cuda, 13000);
    assert.is(result.limits.copyBytesPerSecond, 1e12);
    assert.equal(
      result.rows.map(({ kind, size }: { kind: string; size: number }) => `${kind} ${size}`),
      ["decode 16", "step 16", "prefill 8", "train 16", "decode 8", "step 8"],
    );
    assert.is(result.profiles.length, 2);
    assert.ok(
      readdirSync(folder).every((name) => !name.startsWith("weft-bench-")),
      "weights are removed",
    );
  });

  test("bench:gpu ends in time, and says what it left out", () => {
    const { status, stdout } = run(
      "bench/gpu/run.ts",
      ...[
        "--models",
        "tiny",
        "--contexts",
        "8",
        "--prefill",
        "8",
        "--minutes",
        "0.00001",
        "--folder",
        folder,
      ],
    );
    assert.is(status, 1);
    assert.match(stdout, /tiny weft, .*: the 0\.00001 minutes were over/);
    assert.match(stdout, /written: nothing/);
  });

  test("test:gpu fails where nothing is computed", () => {
    const { status, stdout } = run(
      "test/gpu/run.ts",
      "--short",
      "--only",
      "whole: logits|memory as predicted|loads",
    );
    assert.is(status, 1, stdout);
    assert.match(stdout, /whole: logits +FAILED/);
    assert.match(stdout, /memory as predicted +passed/);
  });
}

test.run();
