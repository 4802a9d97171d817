/** scripts/gpu-bundle: small enough, whole, and it runs from its folder with nothing else around. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const root = resolve(import.meta.dirname, "../..");
const test = suite("gpu bundle");
let folder = "";
test.before(() => {
  folder = mkdtempSync(join(tmpdir(), "weft-gpu-bundle-test-"));
});
test.after(() => rmSync(folder, { recursive: true }));

const bundle = () => join(folder, "bundle");

function filesBelow(path: string): string[] {
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? filesBelow(join(path, entry.name)) : [join(path, entry.name)],
  );
}

/** As on a host that knows nothing of this checkout: no home, no node_modules above, only the system's programs. */
function runBundled(...args: readonly string[]) {
  return spawnSync(join(bundle(), "run"), args, {
    cwd: folder,
    encoding: "utf8",
    env: {
      PATH: "/usr/bin:/bin",
      WEFT_BUNDLE_DIR: join(folder, "kept"),
      WEFT_LIBCUDA: join(folder, "none.so"),
    },
  });
}

if (process.platform === "linux") {
  test("under 60 MB, one platform, nothing that does not run", () => {
    const { status, stdout, stderr } = spawnSync(join(root, "scripts/gpu-bundle"), ["--out", bundle()], {
      encoding: "utf8",
    });
    assert.is(status, 0, stderr);
    assert.match(stdout, /[\d.]+ MB {2}in all, of 60 MB at most/);
    const files = filesBelow(bundle());
    const total = files.reduce((sum, file) => sum + statSync(file).size, 0);
    assert.ok(total > 20e6 && total <= 60e6, `${total} bytes`);
    assert.ok(files.every((file) => !/\.(d\.ts|map)$/.test(file)));
    const natives = files.filter((file) => file.endsWith(".node")).map((file) => file.split("/").at(-1)!);
    assert.is(natives.length, 3, natives.join());
    for (const part of [
      "node_modules/@weft/compiler/cuda/device.cuh",
      "node_modules/@weft/runtime-cuda/sim/device.cuh",
      "test/fixtures/tiny/oracle.json",
      "bench/gpu/peers/transformers_peer.py",
    ]) {
      assert.ok(existsSync(join(bundle(), part)), part);
    }
    assert.match(readFileSync(join(bundle(), "commit"), "utf8"), /^\S+\n$/);
  });

  test("the checks run from it", () => {
    const { status, stdout, stderr } = runBundled(
      "test",
      "--device",
      "cuda-sim",
      "--short",
      "--only",
      "loads",
    );
    assert.is(status, 0, stderr);
    assert.match(stdout, /1 passed, 0 failed, 0 skipped/);
  });

  test("without a GPU, checks and benchmark say so, with the places tried", () => {
    for (const what of ["test", "bench"]) {
      const { status, stderr } = runBundled(what);
      assert.is(status, 1, stderr);
      assert.match(stderr, /no GPU to .*\n.*an NVIDIA driver must be installed[\s\S]*none\.so/);
    }
  });

  test("the command, and how it is called", () => {
    assert.match(runBundled("weft", "--version").stdout, /^\d+\.\d+/);
    const { status, stderr } = runBundled("nothing");
    assert.is(status, 2);
    assert.match(stderr, /run bench/);
  });
}

test.run();
