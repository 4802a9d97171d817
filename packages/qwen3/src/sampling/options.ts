/** What a sampler can be asked for, and the check that the values make sense. */
import type * as Either from "fp-ts/lib/Either.js";
import { type Problem, type Problems, showGiven, unlessProblems, userProblem } from "../config/problems.ts";

/** Every option may be left out. The filters apply in the order in which they stand here. */
export interface SamplerOptions {
  /**
   * Above 1 makes tokens that have occurred less likely: their positive logits are divided by it and negative ones
   * multiplied (Keskar et al., CTRL, 2019). Default 1: off.
   */
  readonly repetitionPenalty?: number | undefined;
  /** Logits are divided by it; 0 or below picks the likeliest token and ignores all filters below. Default 1. */
  readonly temperature?: number | undefined;
  /** Keep the k likeliest tokens; of equal ones those with the lowest ids. Default 0: off. */
  readonly topK?: number | undefined;
  /** Keep the likeliest tokens up to and with the one at which their sum reaches p. Default 1: off. */
  readonly topP?: number | undefined;
  /** Keep tokens with at least this share of the likeliest token's probability. Default 0: off. */
  readonly minP?: number | undefined;
  /** Integer from 0 to 2^53 - 1. The same seed gives the same tokens, always. Default 0. */
  readonly seed?: number | undefined;
}

export type ResolvedSamplerOptions = { readonly [Key in keyof SamplerOptions]-?: number };

const defaults: ResolvedSamplerOptions = {
  repetitionPenalty: 1,
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  seed: 0,
};

interface Rule {
  readonly holds: (value: number) => boolean;
  readonly requirement: string;
  readonly remedy: string;
}

const share: Rule = {
  holds: (value) => value >= 0 && value <= 1,
  requirement: "must be a number from 0 to 1",
  remedy: "give a share of 1, like 0.95",
};

const rules: { readonly [Key in keyof ResolvedSamplerOptions]: Rule } = {
  repetitionPenalty: {
    holds: (value) => value > 0 && Number.isFinite(value),
    requirement: "must be a finite number above 0",
    remedy: "1 switches it off, 1.1 is usual",
  },
  temperature: {
    holds: Number.isFinite,
    requirement: "must be a finite number",
    remedy: "0 is greedy, 0.7 is usual",
  },
  topK: {
    holds: (value) => Number.isSafeInteger(value) && value >= 0,
    requirement: "must be an integer of at least 0",
    remedy: "0 switches it off, 20 is usual",
  },
  topP: share,
  minP: share,
  seed: {
    holds: (value) => Number.isSafeInteger(value) && value >= 0,
    requirement: "must be an integer from 0 to 2^53 - 1",
    remedy: "give another seed",
  },
};

/** Fills in defaults. Left: all options whose values make no sense. */
export function resolveSamplerOptions(
  options: SamplerOptions,
): Either.Either<Problems, ResolvedSamplerOptions> {
  const resolved: { -readonly [Key in keyof ResolvedSamplerOptions]: number } = { ...defaults };
  const problems: Problem[] = [];
  for (const key of Object.keys(rules) as (keyof ResolvedSamplerOptions)[]) {
    const value: unknown = options[key];
    if (value === undefined) continue;
    const { holds, requirement, remedy } = rules[key];
    if (typeof value === "number" && holds(value)) resolved[key] = value;
    else {
      problems.push(userProblem("sampling", `${key} ${requirement}`, { given: showGiven(value), remedy }));
    }
  }
  return unlessProblems(problems, () => resolved);
}

/** The options that a checkpoint's generation_config.json asks for: without `do_sample` it means greedy. */
export function samplerOptionsOf(generation: {
  readonly doSample?: boolean | undefined;
  readonly temperature?: number | undefined;
  readonly topK?: number | undefined;
  readonly topP?: number | undefined;
  readonly minP?: number | undefined;
  readonly repetitionPenalty?: number | undefined;
}): SamplerOptions {
  const { doSample, temperature, topK, topP, minP, repetitionPenalty } = generation;
  return doSample === true
    ? { temperature, topK, topP, minP, repetitionPenalty }
    : { temperature: 0, repetitionPenalty };
}
