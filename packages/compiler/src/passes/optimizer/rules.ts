/** How one parameter moves: the formulas of the optimizers, written once for every device. */
import { type GraphBuilder, type NodeId, roundingKey, userProblem, WeftError } from "@weft/dsl";
import { type Moment, type MomentFormat, plainMoment, type RandomBits, type StateUpdate } from "./moments.ts";
import { firstMomentInInt8, int8BlockOf, secondMomentInInt8 } from "./moments-int8.ts";
import { firstMomentInBlocks, secondMomentInBlocks } from "./moments-nvfp4.ts";
import { optimizerStates, readState } from "./states.ts";

/**
 * What an update of one parameter is made of. All values are f32 with the parameter's axes in order, the last of them in
 * two where the rule says so (`blockOf`).
 */
export interface UpdateSite {
  readonly builder: GraphBuilder;
  readonly parameter: string;
  readonly weight: NodeId;
  /** The mean gradient, clipped. */
  readonly gradient: NodeId;
  /** Whether weight decay applies to it. */
  readonly decays: boolean;
  /** A scalar of this run, by its name in `fields`. */
  readonly field: (name: string) => NodeId;
  /** Whether its moments may be kept in fewer bits. */
  readonly mayNarrow: boolean;
  /** Random bits of this step for one of its states; for rules that round at random. */
  readonly randomOf: (state: string) => RandomBits;
}

export interface Update {
  readonly weight: NodeId;
  readonly states: readonly StateUpdate[];
}

export interface UpdateRule {
  readonly name: string;
  /** What the rule reads of the input `hyperparameters`, in order, behind the common fields. */
  readonly fields: readonly string[];
  /** Whether some of its states are rounded at random, so that steps come with a key. */
  readonly roundsStates: boolean;
  /** Elements of a row of so many that the rule sees as one, where moments may be kept in fewer bits. Default: all. */
  readonly blockOf?: (rowLength: number) => number;
  readonly update: (site: UpdateSite) => Update;
}

/**
 * AdamW: Adam with decoupled weight decay (Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization"), as
 * `torch.optim.AdamW` computes it; epsilon stands outside the root, behind the bias correction:
 *
 *     m = m + (1 - beta1) (g - m)          v = beta2 v + (1 - beta2) g g
 *     w = (1 - lr decay) w - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
 */
export const adamW: UpdateRule = adamWWith("f32");

/**
 * AdamW whose moments are kept in another format (`moments.ts`). Norms, biases, embeddings and whatever has fewer than
 * 4096 elements, or rows that are no whole blocks, keep theirs in f32.
 */
export function adamWWith(moments: MomentFormat): UpdateRule {
  return {
    name: "adamW",
    fields: [
      "decayed",
      "stepSize",
      "firstWeight",
      "secondKept",
      "secondWeight",
      "secondCorrection",
      "epsilon",
    ],
    roundsStates: moments !== "f32",
    ...(moments === "int8" ? { blockOf: int8BlockOf } : {}),
    update: (site) => updateAdamW(site, site.mayNarrow ? moments : "f32"),
  };
}

function updateAdamW(
  { builder, parameter, weight, gradient, decays, field, randomOf }: UpdateSite,
  moments: MomentFormat,
): Update {
  const add = builder.add.bind(builder);
  const { axes } = builder.type(weight);
  const kept: { readonly [K in MomentFormat]: () => readonly [Moment, Moment] } = {
    f32: () => [
      plainMoment(builder, optimizerStates.firstMoment(parameter), axes),
      plainMoment(builder, optimizerStates.secondMoment(parameter), axes),
    ],
    int8: () => [
      firstMomentInInt8(builder, parameter, axes),
      secondMomentInInt8(builder, parameter, axes, randomOf),
    ],
    nvfp4: () => [
      firstMomentInBlocks(builder, parameter, axes),
      secondMomentInBlocks(builder, parameter, axes, randomOf),
    ],
  };
  const [firstMoment, secondMoment] = kept[moments]();
  const [oldFirst, oldSecond] = [firstMoment.old, secondMoment.old];
  const toGradient = add("mul", [add("sub", [gradient, oldFirst], {}), field("firstWeight")], {});
  const first = add("add", [oldFirst, toGradient], {});
  const square = add("mul", [add("mul", [gradient, gradient], {}), field("secondWeight")], {});
  const second = add("add", [add("mul", [oldSecond, field("secondKept")], {}), square], {});
  const root = add("div", [add("sqrt", [second], {}), field("secondCorrection")], {});
  const step = add("div", [first, add("add", [root, field("epsilon")], {})], {});
  const decayed = decays ? add("mul", [weight, field("decayed")], {}) : weight;
  return {
    weight: add("sub", [decayed, add("mul", [step, field("stepSize")], {})], {}),
    states: [...firstMoment.become(first), ...secondMoment.become(second)],
  };
}

/**
 * Stochastic gradient descent with momentum (Sutskever et al. 2013), as `torch.optim.SGD` computes it without dampening:
 *
 *     b = momentum b + g + decay w          w = w - lr b
 */
export const sgd: UpdateRule = {
  name: "sgd",
  fields: ["learningRate", "momentum", "weightDecay"],
  roundsStates: false,
  update: ({ builder, parameter, weight, gradient, decays, field }) => {
    const add = builder.add.bind(builder);
    const { axes } = builder.type(weight);
    const name = optimizerStates.momentum(parameter);
    const old = readState(builder, name, { dtype: "f32", axes });
    const pull = decays
      ? add("add", [gradient, add("mul", [weight, field("weightDecay")], {})], {})
      : gradient;
    const value = add("add", [add("mul", [old, field("momentum")], {}), pull], {});
    return {
      weight: add("sub", [weight, add("mul", [value, field("learningRate")], {})], {}),
      states: [{ name, old, value }],
    };
  },
};

/** The input that says how far to go, f32: the common fields, then those of the rule. */
export const hyperparametersInput = "hyperparameters";

/** Read by every rule. `maxNorm`: gradients of a larger norm are scaled down to it; infinity for none. */
export const commonFields = ["maxNorm"] as const;

/** Behind the fields of the rule, where weights or moments are rounded at random. */
export const roundingFields = ["keyLow", "keyHigh"] as const;

/** What the random bits of one update depend on, beside the parameter and the place in it: integers below 2^53. */
export interface Rounding {
  readonly seed: number;
  readonly step: number;
}

export interface AdamWHyperparameters {
  readonly learningRate: number;
  /** Default 0.9 and 0.999. */
  readonly betas?: readonly [number, number];
  /** Default 1e-8. */
  readonly epsilon?: number;
  /** Default 0.01. */
  readonly weightDecay?: number;
  /** Default: no limit. */
  readonly maxNorm?: number;
  /** Which update this is, from 1 on: updates that were left out do not count. */
  readonly step: number;
  /** For a plan that rounds weights or moments at random, and only for such a one. */
  readonly rounding?: Rounding;
}

/**
 * The input of one run under `adamW`: bias corrections are computed here, in f64.
 * @throws WeftError with every value that makes no sense
 */
export function adamWHyperparameters(given: AdamWHyperparameters): Float32Array {
  const { learningRate, betas = [0.9, 0.999], epsilon = 1e-8, weightDecay = 0.01, step } = given;
  const { maxNorm = Number.POSITIVE_INFINITY } = given;
  const unit = (value: number) => value >= 0 && value < 1;
  check([
    ["learningRate", "a number of at least 0", learningRate, isRate(learningRate)],
    ["betas[0]", "at least 0 and below 1", betas[0], unit(betas[0])],
    ["betas[1]", "at least 0 and below 1", betas[1], unit(betas[1])],
    ["epsilon", "a number of at least 0", epsilon, isRate(epsilon)],
    ["weightDecay", "a number of at least 0", weightDecay, isRate(weightDecay)],
    ["maxNorm", "above 0", maxNorm, maxNorm > 0],
    ["step", "an integer of at least 1", step, Number.isSafeInteger(step) && step >= 1],
    ...roundingChecks(given.rounding),
  ]);
  return Float32Array.of(
    maxNorm,
    1 - learningRate * weightDecay,
    learningRate / (1 - betas[0] ** step),
    1 - betas[0],
    betas[1],
    1 - betas[1],
    Math.sqrt(1 - betas[1] ** step),
    epsilon,
    ...keyOf(given.rounding),
  );
}

export interface SgdHyperparameters {
  readonly learningRate: number;
  /** Default 0.9. */
  readonly momentum?: number;
  /** Default 0. */
  readonly weightDecay?: number;
  /** Default: no limit. */
  readonly maxNorm?: number;
  /** For a plan whose weights are rounded at random, and only for such a one. */
  readonly rounding?: Rounding;
}

/** The input of one run under `sgd`. @throws WeftError with every value that makes no sense */
export function sgdHyperparameters(given: SgdHyperparameters): Float32Array {
  const { learningRate, momentum = 0.9, weightDecay = 0, maxNorm = Number.POSITIVE_INFINITY } = given;
  check([
    ["learningRate", "a number of at least 0", learningRate, isRate(learningRate)],
    ["momentum", "at least 0 and below 1", momentum, momentum >= 0 && momentum < 1],
    ["weightDecay", "a number of at least 0", weightDecay, isRate(weightDecay)],
    ["maxNorm", "above 0", maxNorm, maxNorm > 0],
    ...roundingChecks(given.rounding),
  ]);
  return Float32Array.of(maxNorm, learningRate, momentum, weightDecay, ...keyOf(given.rounding));
}

const keyOf = (rounding: Rounding | undefined) =>
  rounding === undefined ? [] : roundingKey(rounding.seed, rounding.step);

const roundingChecks = (rounding: Rounding | undefined): Check[] =>
  rounding === undefined
    ? []
    : (["seed", "step"] as const).map((name) => {
        const value = rounding[name];
        const fits = Number.isSafeInteger(value) && value >= 0;
        return [`rounding.${name}`, "an integer from 0 to 2^53 - 1", value, fits];
      });

const isRate = (value: number) => value >= 0 && Number.isFinite(value);

type Check = readonly [string, string, number, boolean];

function check(values: readonly Check[]): void {
  const [first, ...rest] = values.flatMap(([name, requirement, value, fits]) =>
    fits ? [] : [userProblem("optimizer", `${name} must be ${requirement}`, { given: String(value) })],
  );
  if (first !== undefined) throw new WeftError([first, ...rest]);
}
