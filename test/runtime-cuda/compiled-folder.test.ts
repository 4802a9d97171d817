/** Folders of compiled kernels: what is written is what is read, and what was damaged is refused with its name. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { planHash } from "@weft/runtime";
import {
  type CompiledManifest,
  compileAhead,
  KernelCache,
  nvccCompiler,
  prepareByCompiling,
  prepareFromFolder,
  readCompiled,
  runsOn,
  targetFor,
  writeCompiled,
} from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { manifestHash } from "../../packages/runtime-cuda/src/compile/manifest.ts";
import { emitQwen3 } from "../support/cuda-plans.ts";
import { cubinHeader, writeFakeNvcc } from "../support/fake-nvcc.ts";
import { threeLayers } from "../support/qwen3-config.ts";

const test = suite("compiled folder");
const { plan, cuda: cudaPlan } = emitQwen3(threeLayers, { policy: "f32", capacity: 64, chunk: 8 });
const compiler = { name: "nvcc", version: "13.0.88", toolkitVersion: "13.0", flags: ["-cubin"] };
let root = "";
let folder = "";
const imageOf = (architecture: number) => cubinHeader(architecture, 100 + architecture);
const write = (...targets: readonly [string, number][]) =>
  writeCompiled(folder, {
    plan,
    cudaPlan,
    compiler,
    targets: targets.map(([target, architecture]) => ({ target, images: [imageOf(architecture)] })),
  });

test.before.each(() => {
  root = mkdtempSync(join(tmpdir(), "weft-compiled-"));
  folder = join(root, "model.compiled");
  write(["sm_80", 80], ["sm_90a", 90]);
});
test.after.each(() => rmSync(root, { recursive: true, force: true }));

async function refusal(): Promise<string> {
  try {
    await readCompiled(folder);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("it was accepted");
}

test("what is written is read", async () => {
  const read = await readCompiled(folder);
  assert.equal(read.plan, plan);
  assert.equal(read.cudaPlan, cudaPlan);
  assert.equal([...read.images.keys()], ["sm_80", "sm_90a"]);
  assert.equal([...read.imagesFor(90)[0]!], [...imageOf(90)]);
  assert.equal(readdirSync(folder).toSorted(), [
    "manifest.json",
    "plan.json",
    "qwen3.sm_80.cubin",
    "qwen3.sm_90a.cubin",
  ]);
});

test("a device gets the images that it executes, or hears what to compile for", async () => {
  const read = await readCompiled(folder);
  assert.equal([...read.imagesFor(86)[0]!], [...imageOf(80)]);
  assert.throws(
    () => read.imagesFor(100),
    /\[compiled\] there must be images for the device's compute capability 10\.0; given sm_80, sm_90a; at .*model\.compiled; compile it for this device too: `weft compile --target sm_100a`$/,
  );
  assert.throws(() => read.imagesFor(75), /no target of `weft compile` runs on it; there are sm_80, /);
});

test("a driver too old for the toolkit of the images is refused before it sees them", async () => {
  const read = await readCompiled(folder);
  assert.is(read.manifest.compiler.toolkitVersion, "13.0");
  for (const driver of [13000, 13020, 14000]) assert.is(read.imagesFor(90, driver).length, 1);
  const message =
    /\[compiled\] the driver must support the CUDA version of the images; given images of nvcc 13\.0 and a driver for CUDA 12\.8; at .*model\.compiled; update the NVIDIA driver, or compile it again with nvcc of CUDA 12$/;
  assert.throws(() => read.imagesFor(90, 12080), message);
  const facts = { computeCapability: 90, driverVersion: 12080 };
  const error = await prepareFromFolder(read)(plan, facts).catch((reason: unknown) => reason);
  assert.match((error as Error).message, message);
  assert.is((await prepareFromFolder(read)(plan, { ...facts, driverVersion: 13000 })).toolkitVersion, "13.0");
});

test("a folder of an earlier version, which does not name its toolkit, says so", async () => {
  edit(({ compiler: { toolkitVersion: _, ...before } }) => ({ version: 1, compiler: before }));
  assert.match(await refusal(), /its version must be 2, which this Weft reads; given 1; at .*manifest/);
  edit(() => ({ version: 2 }));
  assert.match(await refusal(), /the file must describe compiled kernels/);
});

test("targets with the suffix a run on one compute capability, others on later minor ones", () => {
  assert.equal(
    [80, 86, 89, 90].map((capability) => runsOn("sm_80", capability)),
    [true, true, true, false],
  );
  assert.equal(
    [89, 90, 100, 120, 121].map((capability) => runsOn("sm_120a", capability)),
    [false, false, false, true, false],
  );
  assert.equal(
    [70, 80, 86, 89, 90, 100, 103, 120, 121].map((capability) => targetFor(capability)),
    [undefined, "sm_80", "sm_80", "sm_89", "sm_90a", "sm_100a", undefined, "sm_120a", "sm_121a"],
  );
  assert.throws(() => runsOn("sm_90", 90), /did you mean sm_90a\?/);
});

for (const file of ["manifest.json", "plan.json", "qwen3.sm_80.cubin", "qwen3.sm_90a.cubin"]) {
  test(`${file} that is absent, cut short, or changed in one bit is refused by name`, async () => {
    const path = join(folder, file);
    const whole = readFileSync(path);
    const named = async (what: string) => {
      const message = await refusal();
      assert.ok(message.startsWith("[compiled] "), message);
      assert.ok(message.includes(`at ${path}`), `${what}: ${message}`);
      assert.match(message, /; (check the path, or )?compile it again/);
    };
    // Digits and letters of text change into others, so that JSON stays JSON.
    for (const at of [whole.length - 20, whole.length >> 1, 70]) {
      const changed = Buffer.from(whole);
      changed[at]! ^= 1;
      writeFileSync(path, changed);
      await named(`changed at ${at}`);
    }
    for (const length of [0, whole.length - 2]) {
      writeFileSync(path, whole.subarray(0, length));
      await named(`cut to ${length}`);
    }
    writeFileSync(path, Buffer.concat([whole, Buffer.from("x")]));
    await named("longer");
    rmSync(path);
    await named("absent");
    writeFileSync(path, whole);
    await readCompiled(folder);
  });
}

/** Edits the manifest and signs it anew, as somebody would who means it. */
function edit(change: (manifest: CompiledManifest) => object): void {
  const path = join(folder, "manifest.json");
  const manifest = JSON.parse(readFileSync(path, "utf8")) as CompiledManifest;
  const edited = { ...manifest, ...change(manifest) } as CompiledManifest;
  writeFileSync(path, JSON.stringify({ ...edited, hash: manifestHash(edited) }));
}

test("an image of another architecture than its name says is refused", async () => {
  edit(({ targets: [first, second] }) => ({
    targets: [{ target: "sm_80", images: second!.images }, first!],
  }));
  assert.match(
    await refusal(),
    /must be a cubin for sm_80; given one for sm_90; at .*sm_90a\.cubin; compile/,
  );
  edit(({ plan, targets }) => ({ targets: [{ target: targets[0]!.target, images: [plan] }] }));
  assert.match(await refusal(), /must be a cubin for sm_80; given another kind of file; at .*plan\.json/);
});

test("other versions, too few images, and names outside the folder are refused", async () => {
  const { targets } = await readCompiled(folder).then((read) => read.manifest);
  edit(() => ({ cudaVersion: 0 }));
  assert.match(await refusal(), /its cudaVersion must be \d+, which this Weft reads; given 0; at .*manifest/);
  edit(() => ({ cudaVersion: cudaPlan.version, targets: [{ target: "sm_80", images: [] }] }));
  assert.match(await refusal(), /sm_80 must have an image for each of the 1 modules; given 0/);
  const escaped = { ...targets[0]!.images[0]!, file: "../model.compiled/qwen3.sm_80.cubin" };
  edit(() => ({ targets: [{ target: "sm_80", images: [escaped] }] }));
  assert.match(await refusal(), /the file must describe compiled kernels; given other JSON/);
});

test("launches of another plan are refused", async () => {
  const other = { ...plan, name: "other" };
  writeCompiled(folder, {
    plan: { ...other, hash: planHash(other) },
    cudaPlan,
    compiler,
    targets: [{ target: "sm_80", images: [imageOf(80)] }],
  });
  assert.match(
    await refusal(),
    /the launches must belong to the plan; given launches of [0-9a-f]{64}; at .*plan/,
  );
});

test("a folder can be moved; writing again leaves no file of before, and foreign ones alone", async () => {
  writeFileSync(join(folder, "README"), "of the user");
  write(["sm_121a", 121]);
  assert.equal(readdirSync(folder).toSorted(), [
    "README",
    "manifest.json",
    "plan.json",
    "qwen3.sm_121a.cubin",
  ]);
  const moved = join(root, "moved");
  cpSync(folder, moved, { recursive: true });
  rmSync(folder, { recursive: true });
  assert.is((await readCompiled(moved)).imagesFor(121).length, 1);
});

test("a device is prepared from a folder, for the plan of the folder only", async () => {
  const read = await readCompiled(folder);
  const prepared = await prepareFromFolder(read)(plan, { computeCapability: 90 });
  assert.is(prepared.cudaPlan, read.cudaPlan);
  assert.equal(prepared.images, read.images.get("sm_90a"));
  try {
    await prepareFromFolder(read)({ ...plan, hash: "1234" }, { computeCapability: 90 });
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /must be compiled from the plan that is loaded; given the plan/);
  }
});

test("a device is prepared by compiling for it, once", async () => {
  const fake = writeFakeNvcc(join(root, "nvcc"));
  const nvcc = await nvccCompiler({ environment: { ...process.env, WEFT_NVCC: fake.path } });
  const cache = new KernelCache({ directory: join(root, "kernels") });
  for (let time = 0; time < 2; time++) {
    const prepared = await prepareByCompiling(nvcc, cache)(plan, { computeCapability: 86 });
    assert.equal(prepared.cudaPlan, cudaPlan);
    assert.equal([...prepared.images[0]!], [...cubinHeader(80)]);
  }
  assert.equal(fake.compiled(), ["sm_80"]);
  try {
    await prepareByCompiling(nvcc, cache)(plan, { computeCapability: 75 });
    assert.unreachable();
  } catch (error) {
    assert.match(
      (error as Error).message,
      /^unsupported: \[target\] the GPU must execute one of sm_80.*7\.5$/,
    );
  }
});

test("several modules and targets: images in the plan's order, however they are compiled", async () => {
  const fake = writeFakeNvcc(join(root, "nvcc"));
  const nvcc = await nvccCompiler({ environment: { ...process.env, WEFT_NVCC: fake.path } });
  const modules = ["a", "b", "c"].map((name) => ({ name, source: `WEFT_KERNEL(${name}, 32, 1, 0)\n` }));
  const targets = ["sm_90a", "sm_80"];
  const progress: string[] = [];
  const compiled = await compileAhead({ ...cudaPlan, modules }, nvcc, targets, {
    cache: new KernelCache({ directory: "" }),
    parallel: 3,
    onProgress: (done, total) => progress.push(`${done}/${total}`),
  });
  assert.equal(
    compiled.map(({ target, resources }) => [target, resources.map(({ kernel }) => kernel)]),
    targets.map((target) => [target, ["a", "b", "c"]]),
  );
  assert.equal(progress, ["1/6", "2/6", "3/6", "4/6", "5/6", "6/6"]);
  assert.is(fake.compiled().length, 6);
});

test("an interruption ends the compiler and says so; a compiler that hangs is ended", async () => {
  const path = join(root, "slow", "nvcc");
  const fake = writeFakeNvcc(path);
  // It sleeps where it would compile.
  writeFileSync(
    path,
    readFileSync(path, "utf8").replace(
      "const header =",
      "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000);\nconst header =",
    ),
  );
  const environment = { ...process.env, WEFT_NVCC: fake.path };
  const began = performance.now();
  const controller = new AbortController();
  const compileWith = async (options: object) => {
    try {
      const nvcc = await nvccCompiler({ environment, ...options });
      const compiling = nvcc.compile("", "sm_80");
      setTimeout(() => controller.abort(), 300);
      await compiling;
    } catch (error) {
      return (error as Error).message;
    }
    return "it ended by itself";
  };
  assert.match(await compileWith({ timeoutSeconds: 0.2 }), /must compile a module within 0\.2 s/);
  assert.match(await compileWith({ signal: controller.signal }), /must not be interrupted/);
  assert.ok(performance.now() - began < 20_000);
});

test.run();
