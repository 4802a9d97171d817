/** The options of a model under training, and what they must be. */
import {
  type MomentFormat,
  momentFormats,
  type PrecisionPolicy,
  type Recomputation,
  recomputations,
} from "@weft/compiler";
import { type Adapter, type AdapterOptions, adapterOf, adapterParameters } from "../adapter/adapter.ts";
import type { Qwen3Config } from "../config/index.ts";
import { type Problem, userProblem, WeftError } from "../config/problems.ts";
import type { QuantizeTraining } from "./blocks.ts";
import type { TrainingCompileOptions, TrainingProgram } from "./compile.ts";
import { type RuleName, ruleNames } from "./update-rule.ts";

export interface TrainingOptions {
  /** The most tokens of one pass. */
  readonly sequence: number;
  /** What products compute in. Default `f32`. */
  readonly policy?: PrecisionPolicy;
  /** Which parameters are trained, by name. Default: all. */
  readonly trainable?: (parameter: string) => boolean;
  /**
   * Train adapters in place of the model's own parameters, which stay as `weights` has them, in NVFP4 where they are so. B
   * begins at 0, A at random by the seed (default 0). Not with `trainable` or `quantize`.
   */
  readonly lora?: AdapterOptions & { readonly seed?: number };
  /** Which of them decay. Default: matrices; norms and biases do not. */
  readonly decays?: (parameter: string, rank: number) => boolean;
  /** Default: `adamw`. */
  readonly rule?: RuleName;
  /**
   * How trained weights are stored. `f32` (the default): master weights. `bf16`: half the bytes and no second copy for
   * products of bf16; each update is rounded at random, so that small ones keep their effect on average.
   */
  readonly trainedDtype?: "f32" | "bf16";
  /**
   * How AdamW's moments are kept between updates. `int8` and `nvfp4`: the first one, and the root of the second one, in
   * 8 bits with an f32 scale for each block of at most 256 elements, or in 4.5 bits with one for each row. That goes for
   * matrices of at least 4096 elements that are no embedding; all others stay in f32. An update that is left out leaves
   * int8 as it was, and rounds NVFP4 once more. Default: `f32`.
   */
  readonly moments?: MomentFormat;
  /**
   * Trained weights that products read in NVFP4: blocks that every update remakes, from master weights that stay as
   * `trainedDtype` has them. The gradient counts the rounding as the identity. A weight that is stored in NVFP4 begins
   * with the blocks that it has, and its master with the values of these. Default: those that are stored so.
   */
  readonly quantize?: QuantizeTraining;
  /** Default: `train` and `loss`. */
  readonly programs?: readonly TrainingProgram[];
  readonly generation?: TrainingCompileOptions["generation"];
  /** What is computed again on the way back. Default: `rows`. */
  readonly recompute?: Recomputation;
  /** The most bytes for activations, gradients and temporary values. Default: as many as `recompute` leaves. */
  readonly activationBudget?: number;
  /** Positions of a chunk of the head and its loss, of which whole scores never exist. 0: whole scores. Default 256. */
  readonly lossChunk?: number;
  readonly memoryLimitBytes?: number;
  readonly fusion?: boolean;
  /** Keep the graphs of every pass, for dumps. Default false. */
  readonly record?: boolean;
}

/** @throws WeftError with every option that makes no sense */
export function checkOptions({
  rule,
  moments = "f32",
  recompute,
  activationBudget,
  lossChunk,
}: TrainingOptions): void {
  const problems: Problem[] = [];
  const require = (holds: boolean, requirement: string, given: unknown) => {
    if (!holds) problems.push(userProblem("training", requirement, { given: String(given) }));
  };
  const oneOf = (names: readonly string[], given: string | undefined) =>
    given === undefined || names.includes(given);
  require(oneOf(ruleNames, rule), `rule must be one of ${ruleNames.join(", ")}`, rule);
  require(oneOf(momentFormats, moments), `moments must be one of ${momentFormats.join(", ")}`, moments);
  require(moments === "f32" ||
    rule !== "sgd", "moments must be left out with the rule sgd, whose momentum is f32", moments);
  require(oneOf(
    recomputations,
    recompute,
  ), `recompute must be one of ${recomputations.join(", ")}`, recompute);
  require(activationBudget === undefined ||
    activationBudget > 0, "activationBudget must be above 0", activationBudget);
  require(lossChunk === undefined ||
    (Number.isSafeInteger(lossChunk) &&
      lossChunk >= 0), "lossChunk must be an integer of at least 0", lossChunk);
  const [first, ...rest] = problems;
  if (first !== undefined) throw new WeftError([first, ...rest]);
}

/** What is trained: adapters, or what `trainable` says. */
export function trainedBy(
  config: Qwen3Config,
  {
    trainable,
    lora,
    trainedDtype,
    quantize,
  }: Pick<TrainingOptions, "trainable" | "lora" | "trainedDtype" | "quantize">,
): { readonly adapter: Adapter | undefined; readonly trainable: (parameter: string) => boolean } {
  if (lora === undefined) return { adapter: undefined, trainable: trainable ?? (() => true) };
  if (trainable !== undefined) {
    throw new WeftError([
      userProblem("training", "lora trains adapters only, so it cannot be used with trainable", {
        remedy: "choose linears by the targets of lora",
      }),
    ]);
  }
  if (quantize !== undefined) {
    throw new WeftError([
      userProblem("training", "lora trains adapters in f32, so it cannot be used with quantize", {
        remedy: "quantise the base where it is read: readCheckpointWeights(directory, { quantize })",
      }),
    ]);
  }
  if (trainedDtype === "bf16") {
    throw new WeftError([
      userProblem(
        "training",
        "adapters are trained in f32, so lora cannot be used with trained weights of bf16",
        {
          remedy: "leave trainedDtype out: adapters are small",
        },
      ),
    ]);
  }
  const adapter = adapterOf(config, lora);
  const names = new Set(adapterParameters(adapter).map(({ name }) => name));
  return { adapter, trainable: (name) => names.has(name) };
}
