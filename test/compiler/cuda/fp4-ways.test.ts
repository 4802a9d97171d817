/** Which products of two NVFP4 matrices go to units for FP4, what they read, and what is left as it is. */
import { compile, emitCuda, fp4Decisions, type Plan } from "@weft/compiler";
import { orThrow } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { emitQwen3 } from "../../support/cuda-plans.ts";
import { fp4Block, fp4Product } from "../../support/fp4-graphs.ts";
import { threeLayers } from "../../support/qwen3-config.ts";

const test = suite("ways of products in FP4 units");

const linears = (activations: "none" | "nvfp4" | "nvfp4-scaled") => (name: string) =>
  /proj\.weight$/.test(name) ? { hasTensorScale: true, activations } : undefined;
const model = (activations: "none" | "nvfp4" | "nvfp4-scaled", policy: "f32" | "bf16" = "bf16") => ({
  policy,
  capacity: 256,
  chunk: 200,
  quantized: linears(activations),
});

test("prefill: all products of the layers, whatever the policy; decode and everything else as before", () => {
  for (const policy of ["f32", "bf16"] as const) {
    const { plan, cuda } = emitQwen3(threeLayers, { ...model("nvfp4", policy), fp4: "hardware" });
    const plain = emitCuda(plan);
    for (const [index, { name, launches, librarySteps }] of cuda.programs.entries()) {
      assert.is(launches.length, plain.programs[index]!.launches.length, name);
      const inFp4 = librarySteps.filter(({ products }) =>
        products.every(({ scales }) => scales.length === 1),
      );
      // The last layer's queries, and all behind them, are of one position.
      assert.is(inFp4.length, name === "prefill" ? 2 * 4 + 1 : 0);
      assert.is(librarySteps.length, inFp4.length);
    }
    const steps = cuda.programs.find(({ name }) => name === "prefill")!.librarySteps.slice(0, 4);
    const launches = (list: readonly { readonly function: number }[]) =>
      list.map(({ function: index }) => /_(fp4x|fp4w\d|sums\d)$/.exec(cuda.functions[index]!.name)![1]);
    assert.equal(
      steps.map(({ before, after, leastRows }) => [launches(before), launches(after), leastRows]),
      [
        [["fp4x", "fp4w0", "fp4w1", "fp4w2"], ["sums0", "sums1", "sums2"], 128],
        [["fp4x", "fp4w0"], ["sums0"], 128],
        [["fp4x", "fp4w0", "fp4w1"], ["sums0"], 128],
        [["fp4x", "fp4w0"], ["sums0"], 128],
      ],
    );
    // The last product's rows were quantised by the kernel in front of it.
    const text = cuda.modules[0]!.source;
    const isRead = steps.map(({ before }) => {
      const { name } = cuda.functions[before[0]!.function]!;
      const body = text.slice(text.indexOf(`DEVICE void ${name}_body`));
      return body.slice(0, body.indexOf("WEFT_KERNEL")).includes("block_of_values");
    });
    assert.equal(isRead, [false, false, false, true]);
  }
});

test("what a product reads lies in scratch, apart, and aligned", () => {
  const { cuda } = emitQwen3(threeLayers, { ...model("nvfp4-scaled"), fp4: "hardware" });
  const steps = cuda.programs.flatMap(({ librarySteps }) => librarySteps);
  assert.is(steps.length, 6 * 2 + 2 + 2);
  for (const { products } of steps) {
    const pieces = new Map<number, number>();
    for (const { x, weight, out, scales, columns, contracted } of products) {
      const depth = contracted.constant;
      assert.is(depth % 32, 0);
      assert.equal([x.dtype, weight.dtype, x.buffer, weight.buffer], ["nvfp4", "nvfp4", -1, -1]);
      assert.equal([x.stride, weight.stride], [depth, depth]);
      const bytesOfScales = (rows: number) => Math.ceil(rows / 128) * Math.ceil(depth / 64) * 512;
      pieces.set(x.offset / 2, (200 * depth) / 2);
      pieces.set(weight.offset / 2, (columns * depth) / 2);
      pieces.set(scales[0]!.x, bytesOfScales(200));
      pieces.set(scales[0]!.weight, bytesOfScales(columns));
      if (out.buffer === -1) pieces.set(4 * out.offset, 4 * 200 * columns);
    }
    let end = 0;
    for (const [at, bytes] of [...pieces].toSorted(([a], [b]) => a - b)) {
      assert.ok(at >= end && at % 256 === 0, `${at} behind ${end}`);
      end = at + bytes;
    }
    assert.ok(end <= cuda.libraryScratchBytes);
  }
});

const planOf = (rows: number, columns: number): Plan =>
  orThrow(compile([fp4Product("main", { rows, columns, length: 64 })], { name: "one product" })).plan;

test("few rows and odd columns stay with the plan's kernels, and it is said why", () => {
  assert.equal(fp4Decisions(planOf(128, 24)), [{ kernel: 0, isHardware: true, reason: "from 128 rows on" }]);
  const reasons = (plan: Plan) =>
    fp4Decisions(plan).map(({ isHardware, reason }) => `${isHardware} ${reason}`);
  assert.equal(reasons(planOf(127, 24)), [
    "false at most 127 rows, and units for FP4 are worth their while from 128 on",
  ]);
  assert.equal(reasons(planOf(128, 20)), ["false 20 columns, which is no multiple of 8"]);
});

test("a plan that has nothing for such units is refused, with the reason", () => {
  const refusal = (plan: Plan) => {
    try {
      emitCuda(plan, { fp4: "hardware" });
    } catch (error) {
      return (error as Error).message;
    }
    return "none";
  };
  assert.match(
    refusal(planOf(64, 24)),
    /\[fp4\] units for FP4 must have products of two NVFP4 matrices to compute; given at most 64 rows/,
  );
  const { plan } = emitQwen3(threeLayers, model("none"));
  assert.equal(fp4Decisions(plan), []);
  assert.match(
    refusal(plan),
    /given the plan \S+, which has none; open a model in NVFP4 with activations "nvfp4"/,
  );
  assert.is(refusal(orThrow(compile([fp4Block("block", 128)], { name: "block" })).plan), "none");
});

test.run();
