/** Which way each product of a Qwen3 training step takes on a GPU, and each attention: a decision, apart from values. */
import { emitCuda, type PrecisionPolicy } from "@weft/compiler";
import { orThrow } from "@weft/dsl";
import { compileTraining } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { configOf } from "../../support/qwen3-config.ts";

const test = suite("ways of a training step");

/** 4B in width. */
const wide = configOf({
  hidden: 2560,
  layers: 3,
  heads: 32,
  kvHeads: 8,
  headDim: 128,
  intermediate: 9728,
  vocab: 151936,
});

type Way = "tensor cores" | "f32 tiles" | "element by element" | "warps";

/** For each step of a middle layer, or of the head, that multiplies: its kind, its own way, and whether a library may. */
function waysOf(policy: PrecisionPolicy, where: string, lossChunk?: number) {
  const { plan } = orThrow(
    compileTraining(wide, {
      sequence: 1024,
      programs: ["train"],
      policy,
      storage: () => "f32",
      trainable: () => true,
      record: false,
      ...(lossChunk === undefined ? {} : { lossChunk }),
    }),
  );
  const cuda = emitCuda(plan);
  const [program] = cuda.programs;
  const { source } = cuda.modules[0]!;
  const bodyOf = (name: string) =>
    source.slice(source.indexOf(`void ${name}_body(`), source.indexOf(`WEFT_KERNEL(${name},`));
  return plan.programs[0]!.steps.flatMap(({ kernel, origins }, step) => {
    const { kind } = plan.kernels[kernel]!;
    const isHere = origins.some((one) => one === where || one.startsWith(`${where}.`));
    if (!isHere || kind === "rows" || kind === "scatterAdd") return [];
    const texts = program!.launches
      .filter((launch) => launch.step === step)
      .map((launch) => bodyOf(cuda.functions[launch.function]!.name));
    const has = (pattern: RegExp) => texts.some((text) => pattern.test(text));
    const way: Way = has(/mma_tile<|_flash</)
      ? "tensor cores"
      : has(/plain_tile</)
        ? "f32 tiles"
        : kind.startsWith("attention")
          ? "warps"
          : "element by element";
    return [{ kind, way, isLibrary: program!.librarySteps.some((one) => one.step === step) }];
  });
}

const counted = (ways: ReturnType<typeof waysOf>) => {
  const counts: Record<string, number> = {};
  for (const { kind, way, isLibrary } of ways) {
    const key = `${kind}: ${way}${isLibrary ? ", or a library" : ""}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
};

test("bf16: every product of a layer is one for tensor cores, which a library may take; so is attention", () => {
  assert.equal(counted(waysOf("bf16", "model.layers.1")), {
    "matmul: tensor cores, or a library": 4,
    "attentionForward: tensor cores": 1,
    "attentionBackward: tensor cores": 1,
    // Two for each of seven weights.
    "contract: tensor cores, or a library": 14,
  });
});

test("f32: tiles without tensor cores", () => {
  assert.equal(counted(waysOf("f32", "model.layers.1")), {
    "matmul: f32 tiles": 4,
    "attentionForward: warps": 1,
    "attentionBackward: warps": 1,
    "contract: f32 tiles": 14,
  });
});

test("the head: three products, or chunks of one kernel", () => {
  assert.equal(counted(waysOf("bf16", "lm_head", 0)), {
    "matmul: tensor cores, or a library": 1,
    "contract: tensor cores, or a library": 2,
  });
  assert.equal(counted(waysOf("bf16", "lm_head")), { "linearCrossEntropy: tensor cores": 1 });
});

test.run();
