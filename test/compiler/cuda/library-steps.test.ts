/** Which steps of a plan could go by a library's products, and what it would be asked for. */
import type { CudaLibraryStep, CudaMatrix } from "@weft/compiler";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type EmittedPlan, emitQwen3 } from "../../support/cuda-plans.ts";
import { gatedPlan } from "../../support/library-graphs.ts";
import { qwen3Of4B, threeLayers } from "../../support/qwen3-config.ts";

const test = suite("library steps");

const large = emitQwen3(qwen3Of4B, { policy: "bf16", capacity: 2048, chunk: 1024 });
const stepsOf = ({ cuda }: EmittedPlan, program: string): readonly CudaLibraryStep[] =>
  cuda.programs.find(({ name }) => name === program)!.librarySteps;
const bytesOf = (matrix: CudaMatrix, rows: number, width: number) =>
  [matrix.offset, matrix.offset + (rows - 1) * matrix.stride + width].map(
    (at) => at * (matrix.dtype === "f32" ? 4 : 2),
  );

test("prefill of 4B: four products of every layer, and the last one's keys and values; decode none", () => {
  const prefill = stepsOf(large, "prefill");
  assert.is(prefill.length, 35 * 4 + 1);
  assert.equal(stepsOf(large, "decode"), []);
  const shapes = prefill
    .slice(0, 4)
    .map(({ products, before, after }) => [
      before.length,
      products.map(({ columns, contracted, addends }) => [columns, contracted.constant, addends.length]),
      after.length,
    ]);
  assert.equal(shapes, [
    // The norm, q, k and v, and the head norms with RoPE of each.
    [
      1,
      [
        [4096, 2560, 0],
        [1024, 2560, 0],
        [1024, 2560, 0],
      ],
      3,
    ],
    // What attention wrote is rounded first; the residual is the product's to add.
    [1, [[2560, 4096, 1]], 0],
    [
      1,
      [
        [9728, 2560, 0],
        [9728, 2560, 0],
      ],
      1,
    ],
    // Rows that lie in memory as bf16 are read there.
    [0, [[2560, 9728, 1]], 0],
  ]);
  const { plan } = large;
  for (const { step, rows, leastRows, products, before, after } of prefill) {
    const { bindings } = plan.programs.find(({ name }) => name === "prefill")!.steps[step]!;
    assert.equal(rows, [{ constant: 0, terms: [{ symbol: 0, factor: 1 }] }]);
    assert.is(leastRows, 128);
    for (const launch of [...before, ...after]) {
      assert.is(launch.step, step);
      assert.equal(launch.bindings, bindings);
    }
    for (const { weight, columns, contracted } of products) {
      assert.is(plan.buffers[weight.buffer]!.bytes, columns * contracted.constant * 2);
      assert.is(plan.buffers[weight.buffer]!.class, "weights");
    }
  }
});

test("what lies in scratch lies apart, and within it", () => {
  for (const { cuda } of [large, gatedPlan(200)]) {
    let most = 0;
    for (const { librarySteps } of cuda.programs) {
      for (const { products, rows } of librarySteps) {
        const count = rows.every(({ terms }) => terms.length === 0) ? 200 : 1024;
        const pieces = new Map<string, number[]>();
        for (const { x, out, columns, contracted } of products) {
          if (x.buffer < 0) pieces.set("x", bytesOf(x, count, contracted.constant));
          if (out.buffer < 0) pieces.set(`sums at ${out.offset}`, bytesOf(out, count, columns));
        }
        const sorted = [...pieces.values()].toSorted(([a], [b]) => a! - b!);
        sorted.forEach(([begin], index) => {
          assert.ok(index === 0 || begin! >= sorted[index - 1]![1]!, `${begin} in front of ${sorted}`);
          assert.is(begin! % 256, 0);
        });
        most = Math.max(most, ...sorted.map(([, end]) => end!));
      }
    }
    assert.ok(most > 0 && most <= cuda.libraryScratchBytes && cuda.libraryScratchBytes - most < 256);
  }
});

test("a step has its launches all the same, and its other way names functions of its own kernel", () => {
  for (const { cuda } of [large, gatedPlan(128)]) {
    for (const { launches, librarySteps } of cuda.programs) {
      for (const { step, before, after } of librarySteps) {
        const own = launches.filter((launch) => launch.step === step);
        assert.ok(own.length > 0);
        const name = cuda.functions[own.at(-1)!.function]!.name;
        for (const launch of [...before, ...after]) {
          assert.ok(cuda.functions[launch.function]!.name.startsWith(`${name}_`));
        }
        // The rows are prepared by the same function.
        for (const launch of before) assert.is(launch.function, own[0]!.function);
      }
    }
  }
});

test("few rows, f32 and columns that no 16 bytes divide are left to the plan's kernels", () => {
  assert.is(stepsOf(gatedPlan(128), "main").length, 2);
  assert.equal(stepsOf(gatedPlan(127), "main"), []);
  assert.equal(stepsOf(gatedPlan(128, { policy: "f32" }), "main"), []);
  // 20 columns of gate and up, and 20 contracted elements of down.
  assert.equal(stepsOf(gatedPlan(128, { columns: 20 }), "main"), []);
  assert.equal(stepsOf(emitQwen3(threeLayers, { policy: "bf16", capacity: 128, chunk: 16 }), "prefill"), []);
});

test.run();
