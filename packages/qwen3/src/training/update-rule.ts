/** The update rules that a model can be trained with, and what a step says to each. */
import {
  type AdamWHyperparameters,
  adamWHyperparameters,
  adamWWith,
  type MomentFormat,
  parameterOfStream,
  type Rounding,
  type SgdHyperparameters,
  sgd,
  sgdHyperparameters,
  type UpdateRule,
} from "@weft/compiler";
import { roundingStream } from "@weft/dsl";
import type { Weight, WeightSource } from "@weft/runtime";
import { userProblem, WeftError } from "../config/problems.ts";
import type { JsonValue } from "./trainable.ts";

export const ruleNames = ["adamw", "sgd"] as const;
export type RuleName = (typeof ruleNames)[number];

/**
 * What a step says to the rule; which update it is, the model counts itself. `betas` and `epsilon` are AdamW's,
 * `momentum` is SGD's.
 */
export interface StepHyperparameters
  extends Omit<AdamWHyperparameters, "step" | "rounding">,
    Omit<SgdHyperparameters, "rounding"> {
  /** Of random rounding, an integer from 0 to 2^53 - 1; nothing else depends on it. Default 0. */
  readonly seed?: number;
}

/** A rule's constants of a whole run; learning rate and seed come with each step. */
export type RuleConstants = Omit<StepHyperparameters, "learningRate" | "seed">;

interface Rule {
  readonly update: (moments: MomentFormat) => UpdateRule;
  /** The keys that are another rule's. */
  readonly foreign: readonly (keyof RuleConstants)[];
  readonly input: (given: StepHyperparameters, step: number, rounding: Rounding | undefined) => Float32Array;
  /** The constants as a checkpoint keeps them, defaults written out. */
  readonly constants: (given: RuleConstants) => Readonly<Record<string, JsonValue>>;
}

const limitOf = ({ maxNorm = Number.POSITIVE_INFINITY }: RuleConstants) =>
  maxNorm === Number.POSITIVE_INFINITY ? null : maxNorm;

const rules: { readonly [K in RuleName]: Rule } = {
  adamw: {
    update: adamWWith,
    foreign: ["momentum"],
    input: (given, step, rounding) =>
      adamWHyperparameters({ ...given, step, ...(rounding === undefined ? {} : { rounding }) }),
    constants: (given) => {
      const { betas = [0.9, 0.999], epsilon = 1e-8, weightDecay = 0.01 } = given;
      return { kind: "adamW", betas, epsilon, weightDecay, maxNorm: limitOf(given) };
    },
  },
  sgd: {
    update: () => sgd,
    foreign: ["betas", "epsilon"],
    input: (given, _step, rounding) =>
      sgdHyperparameters({ ...given, ...(rounding === undefined ? {} : { rounding }) }),
    constants: (given) => {
      const { momentum = 0.9, weightDecay = 0 } = given;
      return { kind: "sgd", momentum, weightDecay, maxNorm: limitOf(given) };
    },
  },
};

export const updateRule = (name: RuleName, moments: MomentFormat = "f32"): UpdateRule =>
  rules[name].update(moments);

/**
 * The input `hyperparameters` of one update.
 * @param step which update this is, from 1 on
 * @param rounds whether weights or moments are rounded at random
 * @throws WeftError for a value that makes no sense, and for one that is another rule's
 */
export function hyperparametersOf(
  name: RuleName,
  given: StepHyperparameters,
  step: number,
  rounds: boolean,
): Float32Array {
  checkConstants(name, given);
  return rules[name].input(given, step, rounds ? { seed: given.seed ?? 0, step } : undefined);
}

/** @throws WeftError for a constant that is another rule's */
export function constantsOf(name: RuleName, given: RuleConstants): Readonly<Record<string, JsonValue>> {
  checkConstants(name, given);
  return rules[name].constants(given);
}

function checkConstants(name: RuleName, given: RuleConstants): void {
  const [first, ...rest] = rules[name].foreign.flatMap((key) =>
    given[key] === undefined
      ? []
      : [
          userProblem("training", `${key} must be left out`, {
            given: String(given[key]),
            remedy: `the rule "${name}" has none`,
          }),
        ],
  );
  if (first !== undefined) throw new WeftError([first, ...rest]);
}

/** The weights of a plan: those given, and the streams of random bits that parameters are rounded with. */
export function trainingWeights(weights: WeightSource): (name: string) => Weight | undefined {
  return (name) => {
    const parameter = parameterOfStream(name);
    if (parameter !== undefined) {
      const data = Float32Array.of(roundingStream(parameter));
      return { kind: "data", data, dtype: "f32", shape: [] };
    }
    if (typeof weights === "function") return weights(name);
    return Object.hasOwn(weights, name) ? weights[name] : undefined;
  };
}
