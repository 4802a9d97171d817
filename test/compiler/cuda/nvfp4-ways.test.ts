/** How products of NVFP4 weights are cut and which way they take, apart from their values. */
import type { CudaLibraryStep, MatmulKernel } from "@weft/compiler";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { sliceLength } from "../../../packages/compiler/src/cuda/matmul/nvfp4-gemv.ts";
import { emitQwen3 } from "../../support/cuda-plans.ts";
import { qwen3Of4B } from "../../support/qwen3-config.ts";

const test = suite("ways of NVFP4 products");

const quantized = (name: string) =>
  /proj\.weight$/.test(name) ? { hasTensorScale: true, activations: "none" as const } : undefined;
const { plan, cuda } = emitQwen3(qwen3Of4B, { policy: "bf16", capacity: 2048, chunk: 1024, quantized });

function matmulsOf(program: string): MatmulKernel[] {
  const { steps } = plan.programs.find(({ name }) => name === program)!;
  const kernels = [...new Set(steps.map(({ kernel }) => plan.kernels[kernel]!))];
  return kernels.filter((kernel) => kernel.kind === "matmul");
}

test("a decode step is as many launches as with weights of bf16", () => {
  assert.is(cuda.programs.find(({ name }) => name === "decode")!.launches.length, 5 * 36 + 10);
});

test("items of a decode step keep the blocks of a large GPU about equally busy", () => {
  const blocks = 2 * 132;
  const shares = matmulsOf("decode")
    .filter(({ groups, slots }) => slots[groups[0]!.weights[0]!]!.dtype === "nvfp4")
    .map((kernel) => {
      const length = sliceLength(kernel, 1);
      assert.is(length % 64, 0);
      const slices = Math.ceil(kernel.contracted / length);
      const tiles = kernel.groups.reduce(
        (sum, { columns, weights }) => sum + Math.ceil(columns / 32) * weights.length,
        0,
      );
      const elements = tiles * 32 * kernel.contracted;
      // What the busiest block reads, beside what would be even.
      return (Math.ceil((tiles * slices) / blocks) * length * 32 * blocks) / elements;
    });
  assert.ok(shares.length >= 4);
  for (const share of shares) assert.ok(share < 1.2, `${share}`);
});

test("prefill: weights become bf16 in scratch, each in front of its product, from 256 rows on", () => {
  const { librarySteps } = cuda.programs.find(({ name }) => name === "prefill")!;
  const inLayer = librarySteps.slice(0, 4);
  const launches = (steps: readonly { readonly function: number }[]) =>
    steps.map(({ function: index }) => /_(x|w\d|sums\d)$/.exec(cuda.functions[index]!.name)![1]);
  assert.equal(
    inLayer.map(({ before, after, products }) => [launches(before), products.length, launches(after)]),
    [
      [["x", "w0", "w1", "w2"], 3, ["sums0", "sums1", "sums2"]],
      [["x", "w0"], 1, ["sums0"]],
      [["x", "w0", "w1"], 2, ["sums0"]],
      [["w0"], 1, ["sums0"]],
    ],
  );
  const end = ({ products }: CudaLibraryStep) =>
    Math.max(...products.map(({ weight, columns }) => 2 * (weight.offset + columns * weight.stride)));
  for (const step of inLayer) {
    assert.is(step.leastRows, 256);
    for (const { weight } of step.products) assert.is(weight.buffer, -1);
    assert.ok(end(step) <= cuda.libraryScratchBytes);
  }
});

test.run();
