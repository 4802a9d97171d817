/** What a model is opened for training with. */
import {
  type MomentFormat,
  momentFormats,
  type PrecisionPolicy,
  type Recomputation,
  recomputations,
} from "@weft/compiler";
import type { AdapterOptions } from "../adapter/adapter.ts";
import { type Problem, userProblem, WeftError } from "../config/problems.ts";
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
   * Train adapters in place of the model's own parameters, which stay as `weights` has them. B begins at 0, A at random
   * by the seed (default 0). Not with `trainable`.
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
   * How AdamW's moments are kept between updates. `nvfp4`: the first one, and the root of the second one, in 4.5 bits an
   * element, for matrices of at least 4096 elements that are no embedding; all others stay in f32. An update that is left
   * out rounds what was kept once more. Default: `f32`.
   */
  readonly moments?: MomentFormat;
  /**
   * Trained weights that products read in NVFP4: blocks that every update remakes, from master weights that stay as
   * `trainedDtype` has them. The gradient counts the rounding as the identity. Default: none.
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

export interface QuantizeTraining {
  /** Which weights, by name. Default: all linears of the layers. */
  readonly weights?: (parameter: string) => boolean;
  /** Tries two scales for each block and takes the better one. Default false. */
  readonly fourOverSix?: boolean;
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
