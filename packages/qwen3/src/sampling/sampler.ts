/**
 * From logits to the next token. The filters apply in the order of transformers: repetition penalty, temperature,
 * top-k, top-p, min-p; then one uniform number picks from what is left, in the order of ids.
 */
import { type DrawField, drawFields } from "@weft/compiler";
import { uniformAt } from "@weft/dsl";
import * as Either from "fp-ts/lib/Either.js";
import { type Checked, type Problems, refuse } from "../config/problems.ts";
import { exponentialDecay } from "./exponential.ts";
import { type ResolvedSamplerOptions, resolveSamplerOptions, type SamplerOptions } from "./options.ts";
import { cutToNucleus, largestLogits, likeliest } from "./selection.ts";

const smallestTemperature = 1e-300;
/** Its inverse, times a difference of logits, is still finite in f32 or as good as infinite. */
const smallestOnDevice = 1e-30;
/** A share that no sum reaches, whatever its rounding. */
const wholeNucleus = 2;

/** Buffers for one vocabulary size, so that sampling a token allocates next to nothing. */
interface Scratch {
  readonly size: number;
  readonly penalised: Float32Array;
  readonly weights: Float64Array;
  readonly positions: Int32Array;
}

/**
 * Picks tokens. Holds no state between calls: the random number of a step depends on seed and step alone, so that
 * a text can be continued, replayed or sampled out of order.
 *
 * @example
 * const sampler = Sampler.create({ temperature: 0.7, topK: 20, topP: 0.8, seed: 1 });
 * if (Either.isRight(sampler)) const token = sampler.right.sample(logits, 0);
 */
export class Sampler {
  readonly options: ResolvedSamplerOptions;
  #scratch: Scratch | undefined;

  private constructor(options: ResolvedSamplerOptions) {
    this.options = options;
  }

  /** Left: every option whose value makes no sense. */
  static create(options: SamplerOptions = {}): Either.Either<Problems, Sampler> {
    return Either.map((resolved: ResolvedSamplerOptions) => new Sampler(resolved))(
      resolveSamplerOptions(options),
    );
  }

  /** Always picks the likeliest token. */
  get greedy(): boolean {
    return this.options.temperature <= 0 || this.options.topK === 1;
  }

  /**
   * The token to append. Equal logits: the lowest id comes first.
   *
   * @param logits `[vocab]`, not changed. -Infinity forbids a token
   * @param step position in the text; part of the random number
   * @param seen ids that the repetition penalty applies to; order and repeats do not matter, foreign ids are ignored
   *
   * Left: NaN or infinity among the logits (with token and step), no token that is allowed.
   */
  sample(logits: Float32Array, step: number, seen: Iterable<number> = []): Either.Either<Problems, number> {
    const { topK } = this.options;
    const values = this.#penalise(logits, seen);
    const id = likeliest(values);
    const best = checked(id, values[id], step, logits.length);
    if (Either.isLeft(best) || this.greedy) return best;
    const ids = topK > 0 && topK < values.length ? largestLogits(values, topK) : undefined;
    const pool = ids === undefined ? values : Float32Array.from(ids, (id) => values[id]!);
    return this.#draw(pool, ids, values[best.right]!, step);
  }

  /** How many of the likeliest tokens `sampleCandidates` must be given to pick as `sample` does; Infinity: it cannot. */
  get candidatesNeeded(): number {
    const { repetitionPenalty, topK } = this.options;
    if (repetitionPenalty !== 1) return Number.POSITIVE_INFINITY;
    if (this.greedy) return 1;
    return topK > 0 ? topK : Number.POSITIVE_INFINITY;
  }

  /**
   * The token that `sample` gives, from the likeliest ones alone.
   *
   * @param candidates `[count, 2]`: logit and id, as the op `topK` gives them; at least `candidatesNeeded`
   *
   * Left: as `sample`.
   */
  sampleCandidates(candidates: Float32Array, step: number): Either.Either<Problems, number> {
    const count = candidates.length / 2;
    const best = checked(candidates[1] ?? -1, candidates[0], step, count);
    if (Either.isLeft(best) || this.greedy) return best;
    const kept = Math.min(this.options.topK, count);
    // What follows picks in the order of ids.
    const order = Array.from({ length: kept }, (_, rank) => rank).sort(
      (a, b) => candidates[2 * a + 1]! - candidates[2 * b + 1]!,
    );
    const ids = Int32Array.from(order, (rank) => candidates[2 * rank + 1]!);
    const pool = Float32Array.from(order, (rank) => candidates[2 * rank]!);
    return this.#draw(pool, ids, candidates[0]!, step);
  }

  /**
   * How a device draws the token of a step from the likeliest ones, `[drawFields.length]`: in f32, so that once in a
   * while its token is not the one that `sampleCandidates` gives. That one counts.
   */
  deviceDraw(step: number): Float32Array {
    const { temperature, topK, topP, minP, seed } = this.options;
    const fields: Readonly<Record<DrawField, number>> = this.greedy
      ? { scale: 0, count: 1, nucleus: 1, least: 0, uniform: 0 }
      : {
          scale: 1 / Math.max(temperature, smallestOnDevice),
          count: topK,
          nucleus: topP === 1 ? wholeNucleus : topP,
          least: minP,
          uniform: uniformAt(seed, step),
        };
    return Float32Array.from(drawFields, (name) => fields[name]);
  }

  /** One of the pool, whose position `i` is the token `ids[i]`, or `i` itself. */
  #draw(
    pool: Float32Array,
    ids: Int32Array | undefined,
    largest: number,
    step: number,
  ): Either.Either<Problems, number> {
    const { temperature, topP, minP, seed } = this.options;
    const { weights, positions } = this.#scratchFor(pool.length);
    // So small a temperature is greedy but for equal logits, and its inverse is still finite.
    const scale = 1 / Math.max(temperature, smallestTemperature);
    let total = 0;
    for (let position = 0; position < pool.length; position++) {
      const weight = exponentialDecay((largest - pool[position]!) * scale);
      weights[position] = weight;
      total += weight;
    }
    const uniform = uniformAt(seed, step);
    // The likeliest token has weight 1, so a weight is its share of it, which is what min-p compares.
    if (topP === 1) return Either.right(idAt(drawIndex(weights, pool.length, minP, uniform), ids));
    const size = cutToNucleus(pool, weights, positions, { largest, scale, total, share: topP });
    return Either.right(idAt(positions[drawIndex(weights, size, minP, uniform)]!, ids));
  }

  #penalise(logits: Float32Array, seen: Iterable<number>): Float32Array {
    const { repetitionPenalty } = this.options;
    if (repetitionPenalty === 1) return logits;
    const values = this.#scratchFor(logits.length).penalised;
    values.set(logits);
    for (const id of seen) {
      // From the original logit: a token that occurred twice is penalised once.
      const logit = logits[id];
      if (logit !== undefined) values[id] = logit < 0 ? logit * repetitionPenalty : logit / repetitionPenalty;
    }
    return values;
  }

  #scratchFor(size: number): Scratch {
    if (this.#scratch?.size !== size) {
      this.#scratch = {
        size,
        penalised: new Float32Array(size),
        weights: new Float64Array(size),
        positions: new Int32Array(size),
      };
    }
    return this.#scratch;
  }
}

/** Refuses NaN, infinity, and logits that forbid everything. */
function checked(best: number, largest: number | undefined, step: number, count: number): Checked<number> {
  if (largest === undefined || largest === Number.NEGATIVE_INFINITY) {
    return refuse("sampling", "at least one token must be allowed", {
      given: count === 0 ? "no logits" : `-Infinity for every token at step ${step}`,
      remedy: "check what masks the logits",
    });
  }
  if (Number.isFinite(largest)) return Either.right(best);
  return refuse("sampling", "logits must be finite", {
    given: `${largest} for token ${best} at step ${step}`,
    remedy: "check the weights for NaN and infinity",
  });
}

const idAt = (position: number, ids: Int32Array | undefined) =>
  ids === undefined ? position : ids[position]!;

/** Inverse of the cumulative distribution over the first `count` weights, those below `least` left out. */
function drawIndex(weights: Float64Array, count: number, least: number, uniform: number): number {
  let total = 0;
  for (let index = 0; index < count; index++) {
    const weight = weights[index]!;
    if (weight >= least) total += weight;
  }
  let rest = uniform * total;
  let last = 0;
  for (let index = 0; index < count; index++) {
    const weight = weights[index]!;
    if (weight < least || weight === 0) continue;
    last = index;
    rest -= weight;
    if (rest < 0) break;
  }
  return last;
}
