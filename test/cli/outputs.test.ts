/** Results that cannot be written where they are wanted: told with place and remedy, and nothing is left behind. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { writeFakeNvcc } from "../support/fake-nvcc.ts";
import { fixtures } from "../support/models.ts";
import { type Outcome, root, tiny, weft, weftProcess, withFolder } from "./command.ts";

const data = join(root, "README.md");
const config = join(tiny, "config.json");

/** Each command that writes, without its output. */
const writers: Readonly<Record<string, readonly string[]>> = {
  inspect: ["inspect", tiny, "--out"],
  export: ["export", tiny, "--onnx"],
  new: ["new", "qwen3", "--config", config, "--out"],
  quantize: ["quantize", tiny, "--format", "compressed-tensors", "--out"],
  merge: ["merge", tiny, join(fixtures, "tiny-adapter"), "--out"],
  train: ["train", tiny, "--data", data, "--steps", "2", "--sequence", "32", "--out"],
};

function isRefused({ code, stdout, stderr }: Outcome, what: string): void {
  assert.is(code, 2, `${what}: ${stderr}`);
  assert.is(stdout, "", what);
  assert.match(stderr, /^\[[^\]]+\] must (be|lie|not|name)|^\[--out\] the folder must be writable/, what);
  assert.match(stderr, /; [a-z][^;]*\n$/, `${what}: a remedy comes last`);
  assert.not.match(stderr, /\n\s+at |internal:/, what);
}

test("below a file nothing can be written", () =>
  withFolder(async (folder) => {
    writeFileSync(join(folder, "file"), "kept");
    for (const [name, argv] of Object.entries(writers))
      isRefused(await weft(...argv, join(folder, "file/out")), name);
    assert.equal(readdirSync(folder), ["file"]);
    assert.is(readFileSync(join(folder, "file"), "utf8"), "kept");
  }));

test("a folder is no file, and a file no folder", () =>
  withFolder(async (folder) => {
    mkdirSync(join(folder, "taken"));
    writeFileSync(join(folder, "taken/kept"), "");
    writeFileSync(join(folder, "file"), "kept");
    for (const name of ["inspect", "export", "new", "quantize"])
      isRefused(await weft(...writers[name]!, join(folder, "taken")), name);
    for (const name of ["new", "quantize", "merge", "train"])
      isRefused(await weft(...writers[name]!, join(folder, "file")), name);
    assert.equal(readdirSync(folder).sort(), ["file", "taken"]);
    assert.equal(readdirSync(join(folder, "taken")), ["kept"]);
    assert.is(readFileSync(join(folder, "file"), "utf8"), "kept");
  }));

test("in a folder that nobody can write to, not even root, nothing is begun", async () => {
  if (!existsSync("/proc/self")) return;
  for (const [name, argv] of Object.entries(writers)) isRefused(await weft(...argv, "/proc/weft-out"), name);
});

test("a target that exists is replaced whole", () =>
  withFolder(async (folder) => {
    for (const name of ["inspect", "export"]) {
      const file = join(folder, name);
      writeFileSync(file, "old".repeat(1e6));
      assert.is((await weft(...writers[name]!, file)).code, 0);
      assert.not.match(readFileSync(file).subarray(0, 100).toString("latin1"), "oldold");
      assert.equal(
        readdirSync(folder).filter((one) => one.startsWith(`${name}.`)),
        [],
      );
    }
  }));

test("compile looks at its folder before it compiles, and tells a disk that fills up meanwhile", () =>
  withFolder(async (folder) => {
    const nvcc = writeFakeNvcc(join(folder, "bin/nvcc"));
    const environment = { WEFT_NVCC: nvcc.path, WEFT_CACHE_DIR: "" };
    writeFileSync(join(folder, "file"), "");
    const argv = ["compile", tiny, "--target", "sm_90a", "--out"];
    isRefused(await weftProcess([...argv, join(folder, "file/out")], { environment }), "below a file");
    isRefused(await weftProcess([...argv, join(folder, "file")], { environment }), "a file");
    if (existsSync("/proc/self"))
      isRefused(await weftProcess([...argv, "/proc/weft-out"], { environment }), "read-only");
    assert.equal(nvcc.compiled(), []);
  }));

test.run();
