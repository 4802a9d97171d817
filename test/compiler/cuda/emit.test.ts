/** The CUDA text of a plan: pinned word by word, its form, its launches, and the bytes that a decode step moves. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  type CudaPlan,
  compile,
  costOf,
  emitCuda,
  expandBlock,
  preludeFolder,
  selfContained,
  totalCost,
} from "@weft/compiler";
import { axis, chain, linear, merge, mul, orThrow, parallel } from "@weft/dsl";
import { assertSnapshot } from "@weft/dsl/testing";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type EmittedPlan, emitQwen3 } from "../../support/cuda-plans.ts";
import { goldenFile } from "../../support/golden.ts";
import { qwen3Of4B, threeLayers } from "../../support/qwen3-config.ts";

const test = suite("CUDA text");

const small = emitQwen3(threeLayers, { policy: "bf16", capacity: 128, chunk: 16 });
const large = emitQwen3(qwen3Of4B, { policy: "bf16", capacity: 9216, chunk: 1024 });
const plans: readonly EmittedPlan[] = [
  small,
  large,
  emitQwen3(threeLayers, { policy: "f32", capacity: 128, chunk: 16 }),
  emitQwen3(threeLayers, { policy: "bf16", capacity: 128, chunk: 16, fusion: false }),
];
const textOf = (cuda: CudaPlan) => cuda.modules.map(({ source }) => source).join("\n");

test("the kernels of a model of three layers are as written down", () => {
  assert.is(small.cuda.modules.length, 1);
  const text = textOf(small.cuda);
  assertSnapshot(text, goldenFile("cuda/qwen3-three-layers.cu"));
});

function launches({ cuda }: EmittedPlan, program: string): number {
  return cuda.programs.find(({ name }) => name === program)!.launches.length;
}

test("a decode step is five launches a layer, and ten for embedding, rotations, head, candidates and the draw", () => {
  assert.is(launches(small, "decode"), 5 * 3 + 10);
  assert.is(launches(large, "decode"), 5 * 36 + 10);
});

test("prefill: the rows of a product are prepared by a launch of their own", () => {
  assert.is(launches(small, "prefill"), 34);
  assert.is(launches(large, "prefill"), 298);
});

test("launches follow the plan's steps and name what is there", () => {
  for (const { plan, cuda } of plans) {
    assert.is(cuda.plan, plan.hash);
    cuda.programs.forEach((program, index) => {
      const { steps, name } = plan.programs[index]!;
      assert.is(program.name, name);
      const order = program.launches.map(({ step }) => step);
      assert.equal(
        [...new Set(order)],
        steps.map((_, step) => step),
      );
      assert.equal(
        order,
        order.toSorted((a, b) => a - b),
      );
      for (const { function: called, step, bindings } of program.launches) {
        assert.equal(bindings, steps[step]!.bindings);
        assert.is(cuda.functions[called]!.slots, bindings.length);
      }
    });
  }
});

test("a product of a few rows takes no more shared memory than every target has", () => {
  const wide = axis("wide", 4096);
  let streamed = 0;
  for (const length of [512, 1024, 2048, 2560, 3072, 4096, 12288]) {
    for (const rows of [1, 5, 8]) {
      const hidden = axis("hidden", length);
      const block = chain(parallel(linear("gate", hidden, wide), linear("up", hidden, wide)), merge(mul));
      const graph = expandBlock(block, { name: "gated", lead: [axis("seq", rows)] });
      const { plan } = orThrow(compile([{ name: "main", graph, passes: [] }], { name: "gated" }));
      const cuda = emitCuda(plan);
      for (const { name, sharedBytes } of cuda.functions) {
        assert.ok(sharedBytes <= 99 * 1024, `${rows} rows of ${length}: ${name} takes ${sharedBytes}`);
      }
      if (/column_sums/.test(textOf(cuda))) streamed++;
    }
  }
  // 8 rows of 2560 f32 fit, of 3072 they do not; 5 rows of 4096 fit; one row of 12288 does.
  assert.is(streamed, 7 + 6 + 4);
});

test("every kernel is a device function of a virtual block with a thin wrapper", () => {
  for (const { cuda } of plans) {
    const text = textOf(cuda);
    const wrappers = [...text.matchAll(/^WEFT_KERNEL\((\w+), (\d+), (\d+), (\d+)\)$/gm)];
    assert.equal(
      wrappers.map(([, name, threads, , slots]) => [name, threads, slots]),
      cuda.functions.map(({ name, threads, slots }) => [name, String(threads), String(slots)]),
    );
    for (const { launches } of cuda.programs) {
      for (const { function: called, perMultiprocessor } of launches) {
        const resident = Number(wrappers[called]![3]);
        assert.ok(resident >= Math.max(1, perMultiprocessor), cuda.functions[called]!.name);
      }
    }
    for (const { name, slots, threads } of cuda.functions) {
      const args = `const Args<${slots}>& args`;
      assert.ok(text.includes(`\nDEVICE void ${name}_body(${args}, [[maybe_unused]] i64 block) {\n`), name);
      assert.ok(text.includes(`\nDEVICE i64 ${name}_blocks([[maybe_unused]] ${args}) {\n`), name);
      assert.is(threads % 32, 0, name);
    }
    assert.not.match(text, /__global__/);
  }
});

test("the comment above a kernel names the blocks that it serves", () => {
  for (const { plan, cuda } of plans) {
    const comments = textOf(cuda)
      .split(/\n(?=DEVICE i64 \w+_blocks)/)
      .slice(0, -1)
      .map((part) =>
        part
          .split("\n")
          .filter((line) => line.startsWith("// "))
          .slice(-6),
      );
    for (const { launches, name } of cuda.programs) {
      const { steps } = plan.programs.find((one) => one.name === name)!;
      for (const { function: called, step } of launches) {
        const written =
          comments[called]!.find((line) => line.startsWith("// of "))
            ?.slice(6)
            .split(", ") ?? [];
        for (const path of steps[step]!.origins) {
          assert.ok(
            written.includes(path.replace(/\.\d+(?=\.|$)/g, ".*")),
            `${path} above function ${called}`,
          );
        }
      }
    }
  }
});

test("no name leaves the comment that it stands in", () => {
  const programs = small.plan.programs.map((program) => ({
    ...program,
    steps: program.steps.map((step) => ({ ...step, origins: ["a\n#error b", "c\r#error d", "e\\"] })),
  }));
  const text = textOf(emitCuda({ ...small.plan, programs }));
  assert.match(text, /^\/\/ of a\?#error b, c\?#error d, e\?$/m);
  assert.not.match(text, /[\r\\]$|^#error/m);
});

/** Everything of CUDA that is more than C++: only device.cuh, which the simulator has a twin of, may name it. */
const machine =
  /\basm\b|\b__(?!restrict__)\w+|\b(?:threadIdx|blockIdx|blockDim|gridDim|warpSize|atomic[A-Z]\w*)\b|\b(?:rsqrtf|cvta)\b/;

test("generated text and prelude leave the machine to device.cuh", () => {
  const files = readdirSync(preludeFolder).filter((file) => file !== "device.cuh");
  assert.ok(files.length > 5);
  const texts = files.map((file) => [file, readFileSync(join(preludeFolder, file), "utf8")] as const);
  for (const [name, text] of [
    ...texts,
    ...plans.map(({ cuda }, index) => [`plan ${index}`, textOf(cuda)] as const),
  ]) {
    const code = text.replace(/\/\/.*$/gm, "");
    assert.is(machine.exec(code)?.[0], undefined, name);
  }
  // The pattern sees what it is for.
  assert.match(readFileSync(join(preludeFolder, "device.cuh"), "utf8"), machine);
});

test("self-contained text includes nothing, and marks the lines of every file", () => {
  const text = selfContained(textOf(small.cuda));
  assert.not.match(text, /#include|#pragma once/);
  const lines = text.split("\n");
  for (const file of ["kernels.cu", "types.cuh", "device.cuh", "gemm.cuh"]) {
    const original =
      file === "kernels.cu" ? textOf(small.cuda) : readFileSync(join(preludeFolder, file), "utf8");
    // The last line of a file is where its marks say it is.
    const wanted = original.trimEnd().split("\n");
    let [at, current, seen] = [0, "", ""];
    for (const line of lines) {
      const mark = /^#line (\d+) "(.+)"$/.exec(line);
      if (mark !== null) [at, current] = [Number(mark[1]), mark[2]!];
      else if (current === file && at++ === wanted.length) seen = line;
    }
    assert.is(seen, wanted.at(-1), file);
  }
});

test("a decode step of 4B moves at most 1.03 times its weights and the context's keys and values", () => {
  const { plan } = large;
  const decode = plan.programs.find(({ name }) => name === "decode")!;
  const { layers, kvHeads, headDim } = qwen3Of4B;
  for (const context of [128, 1024, 8192]) {
    const cost = totalCost(costOf(plan, decode, { seq: 1, past: context - 1, dropped: 0 }));
    const keysAndValues = layers * 2 * context * kvHeads * headDim * 2;
    const ratio = (cost.readBytes + cost.writtenBytes) / (plan.memory.weights + keysAndValues);
    assert.ok(ratio > 1 && ratio <= 1.03, `context ${context}: ${ratio.toFixed(4)}`);
  }
});

test.run();
