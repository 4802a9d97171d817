/** `weft compile` and `weft cache`, with a program in nvcc's place. */
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readCompiled } from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type FakeNvcc, writeFakeNvcc } from "../support/fake-nvcc.ts";
import { fixtures } from "../support/models.ts";
import { root, tiny, weft, withFolder } from "./command.ts";

const test = suite("compile");

interface Place {
  readonly folder: string;
  readonly out: string;
  readonly nvcc: FakeNvcc;
}

/** A folder with nvcc and a cache of its own. */
const inPlace = (work: (place: Place) => Promise<void>, failure = "") =>
  withFolder(async (folder) => {
    const before = { WEFT_NVCC: process.env.WEFT_NVCC, WEFT_CACHE_DIR: process.env.WEFT_CACHE_DIR };
    const nvcc = writeFakeNvcc(join(folder, "nvcc"), { failure });
    process.env.WEFT_NVCC = nvcc.path;
    process.env.WEFT_CACHE_DIR = join(folder, "cache");
    try {
      await work({ folder, out: join(folder, "out"), nvcc });
    } finally {
      for (const [name, value] of Object.entries(before)) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
  });

test("compiles a model for a target, prints what its kernels take, writes what a device reads", () =>
  inPlace(async ({ out, nvcc }) => {
    const argv = ["compile", tiny, "--target", "sm_90a", "--out", out, "--dtype=bf16", "--capacity=64"];
    const { code, stdout, stderr } = await weft(...argv);
    assert.is(code, 0, stderr);
    assert.match(stdout, /^sm_90a\nkernel +threads +registers +shared B +stack B +spill stores B/);
    assert.match(stdout, /\nk0_embedding +128 +40 +\d+ +0 +0 +0\n/);
    assert.match(stdout, /out\/qwen3\.sm_90a\.cubin: 64 B\n\d+ kernels for sm_90a with nvcc 13\.0\.88 in /);
    const read = await readCompiled(out);
    assert.is(read.plan.symbols.find(({ name }) => name === "keys")!.max, 64);
    assert.is(read.imagesFor(90).length, 1);
    assert.is(read.manifest.compiler.toolkitVersion, "13.0");
    // Compiled before: from the cache.
    assert.is((await weft(...argv)).stdout.split("\n")[2], stdout.split("\n")[2]);
    assert.equal(nvcc.compiled(), ["sm_90a"]);
  }));

test("units for FP4 must be there in every target, and have something to compute", () =>
  inPlace(async ({ out, nvcc }) => {
    const coded = join(fixtures, "nvfp4/compressed-tensors");
    const argv = ["--out", out, "--capacity=192", "--chunk=128", "--activations=nvfp4", "--fp4=hardware"];
    const old = await weft("compile", coded, "--target", "sm_100a,sm_90a", ...argv);
    assert.is(old.code, 2);
    assert.match(
      old.stderr,
      /\[fp4\] the target must have units that multiply FP4: sm_100a, sm_120a, sm_121a; given sm_90a/,
    );
    const none = await weft("compile", tiny, "--target", "sm_100a", ...argv);
    assert.is(none.code, 2);
    assert.match(
      none.stderr,
      /\[activations\] only what weights in nvfp4 are multiplied with can be quantised/,
    );
    const plain = await weft("compile", coded, "--target", "sm_100a", ...argv, "--activations=plain");
    assert.is(plain.code, 2);
    assert.match(plain.stderr, /\[fp4\] units for FP4 must have products of two NVFP4 matrices to compute/);
    assert.equal(nvcc.compiled(), []);
    const { code, stderr } = await weft("compile", coded, "--target", "sm_100a", ...argv);
    assert.is(code, 0, stderr);
    const { cudaPlan } = await readCompiled(out);
    const products = cudaPlan.programs.flatMap(({ librarySteps }) =>
      librarySteps.flatMap((step) => step.products),
    );
    assert.ok(products.length > 0 && products.every(({ scales }) => scales.length === 1));
  }));

test("several targets, a block instead of a model, JSON", () =>
  inPlace(async ({ out, nvcc }) => {
    const block = join(root, "examples/custom-block.ts");
    const { code, stdout, stderr } = await weft(
      ...["compile", block, "--target", "sm_80,sm_89", "--target", "sm_80", "--lead", "seq=64"],
      ...["--out", out, "--json"],
    );
    assert.is(code, 0, stderr);
    const result = JSON.parse(stdout);
    assert.is(result.plan, (await readCompiled(out)).plan.hash);
    assert.equal(result.compiler, { name: "nvcc", version: "13.0.88" });
    assert.equal(
      result.files.map(({ target, bytes }: { target: string; bytes: number }) => [target, bytes]),
      [
        ["sm_80", 64],
        ["sm_89", 64],
      ],
    );
    for (const { kernels } of result.targets) {
      assert.ok(kernels.length > 0);
      for (const one of kernels) {
        assert.is(one.registers, 40);
        assert.is(one.spillStores + one.spillLoads, 0);
        assert.is(one.threads % 32, 0);
      }
    }
    assert.equal(nvcc.compiled().toSorted(), ["sm_80", "sm_89"]);
    const all = await weft("compile", block, "--target", "all", "--out", out);
    assert.match(all.stdout, /for sm_80, sm_89, sm_90a, sm_100a, sm_120a, sm_121a with nvcc/);
  }));

test("mistakes are refused before anything is compiled or written", () =>
  inPlace(async ({ folder, out, nvcc }) => {
    const mistakes: readonly [readonly string[], RegExp][] = [
      [[tiny], /required option '--target <NAME>' not specified/],
      [
        [tiny, "--target", "sm_90"],
        /\[target\] must be one of sm_80, .*; given "sm_90"; did you mean sm_90a\?/,
      ],
      [[tiny, "--target", ","], /\[--target\] must name an architecture/],
      [[tiny, "--target", "sm_80", "--compiler", "gcc"], /Allowed choices are nvcc/],
      [[tiny, "--target", "sm_80", "--lead", "seq=4"], /\[--lead\] must be left out/],
      [[join(folder, "nothing"), "--target", "sm_80"], /\[TARGET\] must exist/],
    ];
    for (const [argv, message] of mistakes) {
      const { code, stdout, stderr } = await weft("compile", ...argv, ...["--out", out]);
      assert.is(code, 2, stderr);
      assert.is(stdout, "");
      assert.match(stderr, message);
    }
    const file = join(folder, "file");
    writeFileSync(file, "");
    const { code, stderr } = await weft("compile", tiny, "--target=sm_80", "--out", file);
    assert.is(code, 2);
    assert.match(stderr, /\[--out\] must be a folder; given the file /);
    process.env.WEFT_NVCC = join(folder, "no-nvcc");
    const without = await weft("compile", tiny, "--target=sm_80", "--out", out);
    assert.is(without.code, 2);
    assert.match(
      without.stderr,
      /\[nvcc\] must be there .*; install .*; tried:\n {2}.*no-nvcc: nothing there\n$/,
    );
    assert.equal(nvcc.compiled(), []);
    assert.not.ok(existsSync(out));
  }));

test("kernels that do not compile: the compiler's message, exit code 1, and no folder", () =>
  inPlace(async ({ out }) => {
    const { code, stdout, stderr } = await weft("compile", tiny, "--target=sm_80", "--out", out);
    assert.is(code, 1);
    assert.is(stdout, "");
    assert.match(
      stderr,
      /internal: \[nvcc 13\.0\.88\] kernels must compile for sm_80; given wrong; at gemm\.cuh:3; please report/,
    );
    assert.not.ok(existsSync(out));
  }, "gemm.cuh(3): error: wrong"));

test("cache status counts plans and kernels, cache clear removes them", () =>
  inPlace(async ({ folder, out }) => {
    const empty = await weft("cache", "status");
    assert.is(empty.code, 0);
    assert.match(
      empty.stdout,
      /^plans +0 entries +0 B +\S+\/cache\/plans\nkernels +0 entries +0 B +\S+\/cache\/kernels\n$/,
    );
    await weft("compile", tiny, "--target=sm_80,sm_89", "--out", out);
    await weft("generate", tiny, "--tokens=72", "--max-tokens=1");
    const { folders } = JSON.parse((await weft("cache", "status", "--json")).stdout);
    assert.equal(
      folders.map(({ kind, entries, directory }: Record<string, unknown>) => [kind, entries, directory]),
      [
        ["plans", 1, join(folder, "cache/plans")],
        ["kernels", 2, join(folder, "cache/kernels")],
      ],
    );
    assert.ok(folders[1].bytes > 1000);
    const { removed } = JSON.parse((await weft("cache", "clear", "--json")).stdout);
    assert.equal(removed, folders);
    assert.equal(readdirSync(join(folder, "cache/kernels")), []);
    assert.match((await weft("cache", "clear")).stdout, /^removed plans +0 entries/);
    process.env.WEFT_CACHE_DIR = "";
    assert.match((await weft("cache", "status")).stdout, /nothing is kept: WEFT_CACHE_DIR is empty/);
    const wrong = await weft("cache", "empty");
    assert.is(wrong.code, 2);
    assert.match(wrong.stderr, /Allowed choices are status, clear/);
  }));

test.run();
