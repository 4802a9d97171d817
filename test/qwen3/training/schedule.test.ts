/** Rates by step, and where targets are masked. */
import { WeftError } from "@weft/dsl";
import { batchOf, schedule } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("schedules and batches");
const rates = (options: Parameters<typeof schedule>[0], steps: readonly number[]) =>
  steps.map((step) => Number(schedule(options)(step).toFixed(6)));

function sentences(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof WeftError) return error.message;
  }
  return "nothing was thrown";
}

test("constant: stays, behind a warmup that reaches the peak at its last step", () => {
  const options = { shape: "constant", learningRate: 1, steps: 10, warmup: 4 } as const;
  assert.equal(rates(options, [1, 2, 3, 4, 5, 10, 11]), [0.25, 0.5, 0.75, 1, 1, 1, 1]);
});

test("linear: falls by equal amounts to the final share behind the last step, and stays there", () => {
  const options = { shape: "linear", learningRate: 2, steps: 6, warmup: 2, finalShare: 0.5 } as const;
  assert.equal(rates(options, [1, 2, 3, 4, 5, 6, 7, 9]), [1, 2, 2, 1.75, 1.5, 1.25, 1, 1]);
});

test("cosine: half a period", () => {
  const options = { learningRate: 1, steps: 4 };
  assert.equal(rates(options, [1, 2, 3, 4, 5]), [1, 0.853553, 0.5, 0.146447, 0]);
});

test("no update of a run has a rate of 0, and one alone has the whole rate", () => {
  for (const shape of ["constant", "linear", "cosine"] as const) {
    assert.equal(rates({ shape, learningRate: 0.5, steps: 1 }, [1]), [0.5]);
    for (const warmup of [0, 1, 4, 5])
      assert.ok(
        rates({ shape, learningRate: 1, steps: 5, warmup }, [1, 2, 3, 4, 5]).every((rate) => rate > 0),
      );
  }
});

test("a schedule of warmup alone", () => {
  assert.equal(rates({ learningRate: 1, steps: 2, warmup: 2 }, [1, 2, 3]), [0.5, 1, 0]);
});

test("options of nonsense are named together", () => {
  assert.is(
    sentences(() => schedule({ learningRate: Number.NaN, steps: 0, warmup: 1.5, finalShare: 2 })),
    [
      "[schedule] learningRate must be a number of at least 0; given NaN; correct the option",
      "[schedule] steps must be an integer of at least 1; given 0; correct the option",
      "[schedule] warmup must be an integer from 0 to the steps, 0; given 1.5; correct the option",
      "[schedule] finalShare must be from 0 to 1; given 2; correct the option",
    ].join("\n"),
  );
});

test("targets are the next tokens of the same document, as far as they are learnt", () => {
  const batch = batchOf([{ tokens: [5, 6, 7] }, { tokens: [8, 9, 10, 11], learnt: [0, 0, 1, 1] }]);
  assert.equal([...batch.tokens], [5, 6, 7, 8, 9, 10, 11]);
  assert.equal([...batch.targets], [6, 7, -1, -1, 10, 11, -1]);
  assert.equal([...batch.positions], [0, 1, 2, 0, 1, 2, 3]);
  assert.equal([...batch.starts], [0, 0, 0, 3, 3, 3, 3]);
});

test("a mask of another length, and no tokens, are refused", () => {
  assert.is(
    sentences(() => batchOf([{ tokens: [1, 2] }, { tokens: [1, 2, 3], learnt: [1] }])),
    "[batch] a mask must have one element for each of its 3 tokens; given 1; at document 1",
  );
  assert.is(
    sentences(() => batchOf([])),
    "[batch] documents must have tokens; given none",
  );
});

test.run();
