import { readdirSync, readFileSync } from "node:fs";
/**
 * Every kernel through nvcc, where there is one: all targets accept it, no register is spilled,
 * launches fit the targets' shared memory, and what each kernel of Qwen3-4B takes of an H100 is as written down.
 */
import { join } from "node:path";
import { emitCuda, preludeFolder } from "@weft/compiler";
import { orThrow } from "@weft/dsl";
import { assertSnapshot } from "@weft/dsl/testing";
import { compileTraining, type Qwen3Config } from "@weft/qwen3";
import {
  type Compiler,
  compileAhead,
  findNvcc,
  formatTried,
  KernelCache,
  type KernelResources,
  nvccCompiler,
  targetFacts,
  targetNames,
} from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type EmittedPlan, emitQwen3 } from "../support/cuda-plans.ts";
import { goldenFile } from "../support/golden.ts";
import { configOf, qwen3Of4B, threeLayers } from "../support/qwen3-config.ts";

const suiteOfNvcc = suite("nvcc");
const venv = join(import.meta.dirname, "../../.cache/venv");
const { nvcc, tried } = await findNvcc({ venv });
if (nvcc === undefined) {
  console.log(`  skipped: kernels are not compiled here, there is no nvcc; ${formatTried(tried)}`);
}
const test = nvcc === undefined ? suiteOfNvcc.skip : suiteOfNvcc;

const wideLayers = configOf({
  hidden: 2560,
  layers: 3,
  heads: 32,
  kvHeads: 8,
  headDim: 128,
  intermediate: 9728,
  vocab: 151936,
});
const small = { capacity: 128, chunk: 16 };
const large = { capacity: 9216, chunk: 1024 };
/**
 * The oldest, the one whose figures are written down, and one of the newest with the least shared memory. All that text
 * asks of a target is whether it is 9.0 or later (a test holds that), so the others compile what these do; the fused
 * plan in bf16 is compiled for each of them.
 */
const farApart = ["sm_80", "sm_90a", "sm_120a"];
/** An emitted plan and the targets that it is compiled for; a module takes about ten seconds for each. */
const matrix: Readonly<Record<string, readonly [() => EmittedPlan, readonly string[]]>> = {
  "three layers, bf16": [() => emitQwen3(threeLayers, { policy: "bf16", ...small }), targetNames],
  "three layers, f32": [() => emitQwen3(threeLayers, { policy: "f32", ...small }), farApart],
  "three layers, unfused": [
    () => emitQwen3(threeLayers, { policy: "bf16", ...small, fusion: false }),
    farApart,
  ],
  "4B, bf16": [() => emitQwen3(qwen3Of4B, { policy: "bf16", ...large }), ["sm_90a", "sm_120a"]],
  "4B, NVFP4": [
    () => emitQwen3(qwen3Of4B, { policy: "bf16", ...large, quantized: codedLinears("none") }),
    ["sm_90a"],
  ],
  "three layers, both sides in NVFP4": [
    () => emitQwen3(threeLayers, { policy: "bf16", ...small, quantized: codedLinears("nvfp4") }),
    ["sm_80"],
  ],
  // As wide as 4B, so that products are streamed, in tiles, and a library's.
  "three layers, FP8": [
    () => emitQwen3(wideLayers, { policy: "bf16", capacity: 1024, chunk: 256, quantized: coded }),
    ["sm_90a", "sm_80"],
  ],
  "three layers, in units for FP4": [
    () =>
      emitQwen3(threeLayers, {
        policy: "bf16",
        capacity: 256,
        chunk: 256,
        quantized: codedLinears("nvfp4"),
        fp4: "hardware",
      }),
    ["sm_100a", "sm_120a"],
  ],
  "training, bf16": [() => emitTraining("bf16", wideLayers, 256), ["sm_90a", "sm_80"]],
  "training, f32": [() => emitTraining("f32", threeLayers, 100), ["sm_90a"]],
  "4B, f32": [() => emitQwen3(qwen3Of4B, { policy: "f32", ...large }), ["sm_90a", "sm_80"]],
};

/** All matrices in FP8. */
function coded(name: string) {
  return /(proj|lm_head|embed_tokens)\.weight$/.test(name) ? ({ rowScales: true } as const) : undefined;
}

/** The linears of the blocks in NVFP4, with a scale of each tensor. */
function codedLinears(activations: "none" | "nvfp4") {
  return (name: string) => (/proj\.weight$/.test(name) ? { hasTensorScale: true, activations } : undefined);
}

/** A step of training, all of whose kinds of kernels are in three layers of 4B's width. */
function emitTraining(policy: "f32" | "bf16", config: Qwen3Config, lossChunk: number): EmittedPlan {
  const { plan } = orThrow(
    compileTraining(config, {
      sequence: 1024,
      programs: ["train"],
      policy,
      storage: () => "f32",
      trainable: () => true,
      record: false,
      lossChunk,
    }),
  );
  return { plan, cuda: emitCuda(plan) };
}

const compiler: Compiler | undefined = nvcc && (await nvccCompiler({ venv }));
/** What is compiled here is compiled every time. */
const cache = new KernelCache({ directory: "" });
/** Without its places in the plan and among kernels of one name: those that are alike are one line. */
const unnumbered = (kernel: string): string => kernel.replace(/^k\d+_/, "").replace(/_\d+$/, "");
/** What was found out about the kernels of 4B, and of its training, on the H100's target. */
const pinned: (KernelResources & { readonly sharedBytes: number })[] = [];

for (const [name, [emit, targets]] of Object.entries(matrix)) {
  test(`${name}: every kernel compiles for ${targets.join(", ")} within its registers and shared memory`, async () => {
    const { cuda } = emit();
    const names = cuda.functions.map((one) => one.name);
    for (const { target, resources } of await compileAhead(cuda, compiler!, targets, { cache })) {
      assert.equal(resources.map(({ kernel }) => kernel).toSorted(), names.toSorted(), target);
      const found = cuda.functions.map(({ name, sharedBytes }) => ({
        ...resources.find(({ kernel }) => kernel === name)!,
        sharedBytes,
      }));
      const faults = found.flatMap((one) => {
        const spills = one.spillStores + one.spillLoads;
        const shared = one.sharedBytes + one.staticSharedBytes;
        return [
          ...(spills > 0 ? [`${one.kernel} spills ${spills} bytes`] : []),
          ...(shared > targetFacts(target).sharedBytes ? [`${one.kernel} takes ${shared} bytes shared`] : []),
        ];
      });
      assert.equal(faults, [], target);
      if (target !== "sm_90a") continue;
      if (name === "4B, bf16") pinned.push(...found);
      if (name === "4B, NVFP4")
        for (const one of found)
          if (/matmul/.test(one.kernel)) pinned.push({ ...one, kernel: `NVFP4 ${unnumbered(one.kernel)}` });
      // What multiplies: rows of training are as those of inference.
      if (name === "training, bf16")
        for (const one of found)
          if (/matmul|attend/.test(one.kernel))
            pinned.push({ ...one, kernel: `training ${unnumbered(one.kernel)}` });
    }
  });
}

test("registers, stack and shared memory of the 4B plan's kernels on sm_90a are as written down", () => {
  assert.ok(pinned.length > 0);
  const rows = new Set(
    pinned.map(({ kernel, registers, stackBytes, staticSharedBytes, sharedBytes }) =>
      JSON.stringify({ kernel, registers, stackBytes, staticSharedBytes, dynamicSharedBytes: sharedBytes }),
    ),
  );
  const table = `{\n"nvcc": ${JSON.stringify(nvcc!.version)},\n"kernels": [\n${[...rows].join(",\n")}\n]\n}\n`;
  const file = goldenFile("cuda-resources.sm_90a.json");
  const { nvcc: version } = JSON.parse(readFileSync(file, "utf8")) as { nvcc: string };
  if (version !== nvcc!.version && process.env.WEFT_UPDATE_GOLDEN !== "1") {
    console.log(`  skipped: the table is of nvcc ${version}, here is ${nvcc!.version}`);
    return;
  }
  assertSnapshot(table, file);
});

suiteOfNvcc("targets that are left out differ from those compiled for in nothing that the text asks", () => {
  for (const file of readdirSync(preludeFolder)) {
    const text = readFileSync(join(preludeFolder, file), "utf8");
    for (const [, asked] of text.matchAll(/__CUDA_ARCH__ *(.*)/g)) assert.is(asked, ">= 900", file);
  }
});

test("a kernel that does not compile: file, line, message and the block that it serves", async () => {
  const { cuda } = emitQwen3(threeLayers, { policy: "f32", ...small });
  const source = cuda.modules[0]!.source;
  const line = source.split("\n").findIndex((text) => text.startsWith("DEVICE void k0_")) + 2;
  const broken = source.replace(/^(DEVICE void k0_.*)$/m, "$1\n  undeclared = 1;");
  const plan = { ...cuda, modules: [{ ...cuda.modules[0]!, source: broken }] };
  try {
    await compileAhead(plan, compiler!, ["sm_90a"], { cache });
    assert.unreachable();
  } catch (error) {
    assert.match(
      (error as Error).message,
      new RegExp(
        `\\[nvcc ${nvcc!.version}\\] kernels must compile for sm_90a; given identifier "undeclared" is undefined in embedding, \`.*undeclared.*\`; at model.embed_tokens \\(kernels\\.cu:${line}\\);`,
      ),
    );
  }
});

suiteOfNvcc.run();
