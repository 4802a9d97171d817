import { formatProblems, type Problems } from "@weft/dsl";
import * as Either from "fp-ts/lib/Either.js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  resolveSamplerOptions,
  Sampler,
  type SamplerOptions,
  samplerOptionsOf,
  uniformAt,
} from "../../../packages/qwen3/src/sampling/index.ts";
import fc from "../../support/fast-check.ts";
import { draw, keptTokens, penalised } from "./reference.ts";

const test = suite("qwen3/sampling: sampler");
const right = <A>(result: Either.Either<Problems, A>): A => {
  if (Either.isLeft(result)) throw new Error(formatProblems(result.left));
  return result.right;
};
const left = (result: Either.Either<Problems, unknown>): string => {
  if (Either.isRight(result)) throw new Error("was accepted");
  return formatProblems(result.left);
};
const create = (options: SamplerOptions) => right(Sampler.create(options));
const pick = (options: SamplerOptions, logits: readonly number[], step = 0, seen: readonly number[] = []) =>
  right(create(options).sample(Float32Array.from(logits), step, seen));
/** All tokens that come out in many steps. */
const support = (options: SamplerOptions, logits: readonly number[], steps = 2000) => {
  const sampler = create(options);
  const values = Float32Array.from(logits);
  const found = new Set<number>();
  for (let step = 0; step < steps; step++) found.add(right(sampler.sample(values, step)));
  return [...found].sort((a, b) => a - b);
};
/** Logits of given probabilities. */
const logitsOf = (...probabilities: number[]) => probabilities.map(Math.log);

const logit = fc.oneof(
  fc.double({ min: -20, max: 20, noNaN: true }),
  fc.constantFrom(0, 1, 1, -3, Number.NEGATIVE_INFINITY),
);
const logitList = fc
  .array(logit, { minLength: 1, maxLength: 60 })
  .filter((list) => list.some((value) => value !== Number.NEGATIVE_INFINITY))
  .map((list) => Float32Array.from(list));
const anyOptions = fc.record({
  repetitionPenalty: fc.constantFrom(1, 1.1, 1.7, 0.8),
  temperature: fc.oneof(fc.constantFrom(0, 1, -1, 0.01), fc.double({ min: 0.05, max: 5, noNaN: true })),
  topK: fc.oneof(fc.constant(0), fc.nat(70)),
  topP: fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true })),
  minP: fc.oneof(fc.constantFrom(0, 0, 1), fc.double({ min: 0, max: 1, noNaN: true })),
  seed: fc.nat(),
});

test("picks the same token from the likeliest ones alone", () => {
  let compared = 0;
  fc.assert(
    fc.property(logitList, anyOptions, fc.nat(5000), (logits, options, step) => {
      const sampler = create({ ...options, repetitionPenalty: 1 });
      const count = Math.min(32, logits.length);
      if (sampler.candidatesNeeded > count) return;
      const order = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
      const candidates = Float32Array.from(order.slice(0, count).flatMap((id) => [logits[id]!, id]));
      assert.is(right(sampler.sampleCandidates(candidates, step)), right(sampler.sample(logits, step)));
      compared++;
    }),
    { numRuns: 2000 },
  );
  assert.ok(compared > 300, `${compared}`);
  for (const options of [{ temperature: 0.7 }, { temperature: 0, repetitionPenalty: 1.1 }])
    assert.is(create(options).candidatesNeeded, Number.POSITIVE_INFINITY);
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY])
    assert.match(
      left(create({ temperature: 0 }).sampleCandidates(Float32Array.of(bad, 7, 1, 2), 3)),
      new RegExp(`logits must be finite; given ${bad} for token 7 at step 3`),
    );
  assert.match(
    left(create({ temperature: 0 }).sampleCandidates(Float32Array.of(Number.NEGATIVE_INFINITY, 0), 3)),
    /at least one token must be allowed/,
  );
});

test("agrees with the plain reference for any logits, options, history and step", () => {
  let compared = 0;
  fc.assert(
    fc.property(
      logitList,
      anyOptions,
      fc.array(fc.nat(70), { maxLength: 8 }),
      fc.nat(1000),
      (logits, options, seen, step) => {
        const before = Float32Array.from(logits);
        const token = right(create(options).sample(logits, step, seen));
        assert.equal(logits, before);
        const kept = keptTokens(logits, options, seen);
        if (kept.ambiguous) return;
        compared++;
        assert.is(token, draw(kept, uniformAt(options.seed, step)));
      },
    ),
    { numRuns: 2000 },
  );
  assert.ok(compared > 1500, `only ${compared} compared`);
});

test("a large vocabulary agrees too", () => {
  const size = 20_000;
  const logits = Float32Array.from({ length: size }, (_, id) => 12 * (uniformAt(7, id) - 0.5));
  const cases: SamplerOptions[] = [
    {},
    { topP: 0.9 },
    { topP: 0.5, temperature: 2 },
    { topK: 50 },
    { topK: 5000, topP: 0.95 },
    { minP: 0.3 },
    { topP: 0.9999, minP: 0.01, temperature: 0.2, repetitionPenalty: 1.3 },
  ];
  for (const [seed, options] of cases.entries()) {
    const resolved = right(resolveSamplerOptions({ ...options, seed }));
    const kept = keptTokens(logits, resolved, [3, 5]);
    const sampler = create(resolved);
    for (let step = 0; step < 20; step++) {
      assert.is(
        right(sampler.sample(logits, step, [3, 5])),
        draw(kept, uniformAt(seed, step)),
        JSON.stringify(options),
      );
    }
  }
});

test("greedy is the largest logit, the lowest id of equals, and top-k 1 the same at any temperature", () => {
  assert.is(pick({ temperature: 0 }, [1, 3, 2, 3]), 1);
  assert.is(pick({ temperature: -2 }, [-5, -5]), 0);
  fc.assert(
    fc.property(logitList, fc.nat(100), (logits, step) => {
      const greedy = right(create({ temperature: 0 }).sample(logits, step));
      assert.is(greedy, logits.indexOf(Math.max(...logits)));
      assert.is(right(create({ topK: 1, temperature: 3 }).sample(logits, step)), greedy);
      assert.is(right(create({ topP: 0 }).sample(logits, step)), greedy);
    }),
    { numRuns: 200 },
  );
});

test("top-p keeps the token that crosses the threshold, and no more", () => {
  const logits = logitsOf(0.5, 0.3, 0.15, 0.05);
  assert.equal(support({ topP: 0.4 }, logits), [0]);
  assert.equal(support({ topP: 0.6 }, logits), [0, 1]);
  assert.equal(support({ topP: 0.79 }, logits), [0, 1]);
  assert.equal(support({ topP: 0.81 }, logits), [0, 1, 2]);
  assert.equal(support({ topP: 0.96 }, logits), [0, 1, 2, 3]);
  // Equal tokens: the nucleus takes the lowest ids.
  assert.equal(support({ topP: 0.5 }, [0, 0, 0, 0]), [0, 1]);
  assert.equal(support({ topP: 0.51 }, [0, 0, 0, 0]), [0, 1, 2]);
});

test("top-k, min-p and their order", () => {
  const logits = logitsOf(0.05, 0.5, 0.15, 0.3);
  assert.equal(support({ topK: 2 }, logits), [1, 3]);
  assert.equal(support({ topK: 2 }, [0, 1, 1, 1]), [1, 2]);
  assert.equal(support({ topK: 100 }, logits), [0, 1, 2, 3]);
  assert.equal(support({ minP: 0.25 }, logits), [1, 2, 3]);
  assert.equal(support({ minP: 0.35 }, logits), [1, 3]);
  assert.equal(support({ minP: 1 }, logits), [1]);
  // After top-k 2 the shares are 0.625 and 0.375: 0.6 is reached by the first alone. Before it, it would take two.
  assert.equal(support({ topK: 2, topP: 0.6 }, logits), [1]);
});

test("the repetition penalty divides positive and multiplies negative logits, once per token", () => {
  const greedy: SamplerOptions = { temperature: 0, repetitionPenalty: 2 };
  assert.is(pick(greedy, [4, 3], 0, []), 0);
  assert.is(pick(greedy, [4, 3], 0, [0]), 1);
  assert.is(pick(greedy, [7, 3], 0, [0, 0, 0]), 0);
  assert.is(pick(greedy, [-1, -1.5], 0, [0]), 1);
  assert.is(pick({ temperature: 0, repetitionPenalty: 0.5 }, [2, 3], 0, [0]), 0);
  assert.is(pick(greedy, [4, 3], 0, [-1, 99, 0.5]), 0);
  assert.equal([...penalised(Float32Array.of(4, -2, 0), 2, [0, 1, 2])], [2, -4, 0]);
});

test("frequencies follow the probabilities (chi-square, fixed seed)", () => {
  const cases: [SamplerOptions, number[], number[]][] = [
    [{}, [0.4, 0.3, 0.2, 0.1], [0.4, 0.3, 0.2, 0.1]],
    [{ temperature: 0.5 }, [0.4, 0.3, 0.2, 0.1], [16 / 30, 9 / 30, 4 / 30, 1 / 30]],
    [{ topK: 2 }, [0.4, 0.3, 0.2, 0.1], [4 / 7, 3 / 7, 0, 0]],
    [{ topP: 0.65 }, [0.1, 0.2, 0.3, 0.4], [0, 0, 3 / 7, 4 / 7]],
    [{ minP: 0.45 }, [0.1, 0.2, 0.3, 0.4], [0, 2 / 9, 3 / 9, 4 / 9]],
  ];
  const draws = 20_000;
  for (const [options, probabilities, expected] of cases) {
    const sampler = create({ ...options, seed: 2024 });
    const logits = Float32Array.from(logitsOf(...probabilities));
    const counts = [0, 0, 0, 0];
    for (let step = 0; step < draws; step++) counts[right(sampler.sample(logits, step))]!++;
    let chiSquare = 0;
    for (const [id, share] of expected.entries()) {
      if (share === 0) assert.is(counts[id], 0);
      else chiSquare += (counts[id]! - share * draws) ** 2 / (share * draws);
    }
    // 0.1 % of fair generators exceed 16.3 with three degrees of freedom.
    assert.ok(chiSquare < 16.3, `${JSON.stringify(options)}: ${chiSquare}, ${counts}`);
  }
});

test("the same seed gives the same tokens, in any order of steps; another seed others", () => {
  const logits = Float32Array.from({ length: 100 }, (_, id) => ((id * 37) % 100) / 20);
  const steps = Array.from({ length: 50 }, (_, step) => step);
  const text = (seed: number, order: readonly number[]) => {
    const sampler = create({ seed });
    return new Map(order.map((step) => [step, right(sampler.sample(logits, step))]));
  };
  const first = text(1, steps);
  const backwards = text(1, steps.toReversed());
  for (const step of steps) assert.is(backwards.get(step), first.get(step));
  assert.ok(steps.some((step) => text(2, steps).get(step) !== first.get(step)));
  assert.ok(steps.some((step) => text(1 + 2 ** 32, steps).get(step) !== first.get(step)));
  // Pinned: a change of these breaks every stored text.
  assert.equal([...text(1, [0, 1, 2, 2 ** 32]).values()], [...pinned]);
});
const pinned = [89, 64, 27, 51];

test("NaN and infinity are refused with token and step; a forbidden token is never picked", () => {
  for (const options of [{ temperature: 0 }, {}, { topK: 2 }, { topP: 0.5 }, { repetitionPenalty: 2 }]) {
    assert.is(
      left(create(options).sample(Float32Array.of(1, 2, Number.NaN, 3), 17)),
      "[sampling] logits must be finite; given NaN for token 2 at step 17; check the weights for NaN and infinity",
    );
    assert.match(left(create(options).sample(Float32Array.of(Number.NaN), 0)), /given NaN for token 0/);
    assert.match(
      left(create(options).sample(Float32Array.of(1, Number.POSITIVE_INFINITY), 3)),
      /given Infinity for token 1 at step 3/,
    );
    assert.match(
      left(create(options).sample(Float32Array.of(-1 / 0, -1 / 0), 3)),
      /at least one token must be allowed/,
    );
    assert.match(left(create(options).sample(new Float32Array(0), 3)), /given no logits/);
  }
  assert.equal(support({}, [-1 / 0, 0, -1 / 0, 0]), [1, 3]);
  assert.equal(support({ topK: 3, topP: 0.999999999999 }, [-1 / 0, 0, -1 / 0, -1 / 0]), [1]);
});

test("extreme temperatures stay defined", () => {
  assert.equal(support({ temperature: 5e-324 }, [1, 2, 2, -3]), [1, 2]);
  assert.equal(support({ temperature: 1e300 }, [1, 200, -300]), [0, 1, 2]);
  assert.equal(support({ temperature: 1 }, [3e38, -3e38]), [0]);
});

test("options that make no sense are refused together", () => {
  const message = left(
    Sampler.create({
      temperature: Number.NaN,
      topK: -1,
      topP: 1.5,
      minP: -0.1,
      repetitionPenalty: 0,
      seed: 0.5,
    }),
  );
  assert.equal(message.split("\n"), [
    "[sampling] repetitionPenalty must be a finite number above 0; given 0; 1 switches it off, 1.1 is usual",
    "[sampling] temperature must be a finite number; given NaN; 0 is greedy, 0.7 is usual",
    "[sampling] topK must be an integer of at least 0; given -1; 0 switches it off, 20 is usual",
    "[sampling] topP must be a number from 0 to 1; given 1.5; give a share of 1, like 0.95",
    "[sampling] minP must be a number from 0 to 1; given -0.1; give a share of 1, like 0.95",
    "[sampling] seed must be an integer from 0 to 2^53 - 1; given 0.5; give another seed",
  ]);
  const wrong: SamplerOptions[] = [
    { temperature: Number.POSITIVE_INFINITY },
    { topK: 2.5 },
    { topK: Number.NaN },
    { topP: Number.NaN },
    { topP: "0.9" as unknown as number },
    { repetitionPenalty: -1 },
    { repetitionPenalty: Number.POSITIVE_INFINITY },
    { seed: -1 },
    { seed: 2 ** 53 },
  ];
  for (const options of wrong)
    assert.match(
      left(Sampler.create(options)),
      new RegExp(`^\\[sampling\\] ${Object.keys(options)[0]} must`),
    );
  assert.equal(create({}).options, {
    repetitionPenalty: 1,
    temperature: 1,
    topK: 0,
    topP: 1,
    minP: 0,
    seed: 0,
  });
  assert.is(create({ topP: undefined }).options.topP, 1);
});

test("a checkpoint's generation configuration without do_sample means greedy", () => {
  assert.is(create(samplerOptionsOf({ temperature: 0.6, topK: 20 })).greedy, true);
  const { temperature, topK, minP } = create(
    samplerOptionsOf({ doSample: true, temperature: 0.6, topK: 20 }),
  ).options;
  assert.equal([temperature, topK, minP], [0.6, 20, 0]);
});

test.run();
