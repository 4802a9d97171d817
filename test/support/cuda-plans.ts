/** Qwen3 plans and their CUDA text, for tests that look at the text. */
import { type CudaPlan, emitCuda, type Fp4Products, type Plan, type PrecisionPolicy } from "@weft/compiler";
import { orThrow } from "@weft/dsl";
import { compileQwen3, type Qwen3CompileOptions, type Qwen3Config, usualOn } from "@weft/qwen3";

export interface EmittedPlan {
  readonly plan: Plan;
  readonly cuda: CudaPlan;
}

export interface EmitOptions {
  readonly policy: PrecisionPolicy & ("f32" | "bf16");
  readonly capacity: number;
  readonly chunk: number;
  readonly fusion?: boolean;
  /** Which parameters are stored in NVFP4, and how. Default: none. */
  readonly quantized?: Qwen3CompileOptions["quantized"];
  readonly fp4?: Fp4Products;
}

/** The plan that a GPU is given of a model whose weights are all stored as the policy computes. */
export function emitQwen3(
  config: Qwen3Config,
  { policy, fusion = true, quantized, fp4 = "emulated", ...sizes }: EmitOptions,
): EmittedPlan {
  const { plan } = orThrow(
    compileQwen3(config, {
      ...sizes,
      policy,
      storage: () => policy,
      logits: "last",
      candidates: usualOn("cuda").candidates,
      fusion,
      ...(quantized === undefined ? {} : { quantized }),
      record: false,
    }),
  );
  return { plan, cuda: emitCuda(plan, { fp4 }) };
}
