/** Losses and what attention keeps for its gradient, against their formulas. */

import { interpret } from "@weft/compiler";
import { axis, GraphBuilder, type TensorArray } from "@weft/dsl";
import { assertClose, randomNumbers } from "@weft/dsl/testing";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { i32, runOp, tensor } from "../../support/run-op.ts";

const test = suite("losses");

const classes = { axis: "v" };

function random(sizes: Readonly<Record<string, number>>, seed = 1): TensorArray {
  const next = randomNumbers(seed);
  const blank = tensor(sizes);
  return { ...blank, data: blank.data.map(() => 4 * next() - 2) };
}

test("cross entropy by hand, and a masked position is 0", () => {
  const logits = tensor({ s: 3, v: 3 }, [Math.log(1), Math.log(2), Math.log(5), 0, 0, 0, 9, 9, 9]);
  const result = runOp("crossEntropy", [logits, i32({ s: 3 }, [1, 2, -1])], classes);
  assertClose(result, tensor({ s: 3 }, [Math.log(4), Math.log(3), 0]));
});

test("cross entropy of large logits neither overflows nor loses the small loss", () => {
  const logits = tensor({ s: 4, v: 2 }, [1000, 0, 1000, 990, -1000, -1010, 0, -1000]);
  const targets = i32({ s: 4 }, [0, 1, 0, 1]);
  const expected = [0, 10 + Math.log1p(Math.exp(-10)), Math.log1p(Math.exp(-10)), 1000];
  assertClose(runOp("crossEntropy", [logits, targets], classes), tensor({ s: 4 }, expected));
  // In f32, near a logit of 1000, the sum of both would be rounded to 6e-5.
  const builder = new GraphBuilder();
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes: [axis("s", 4), axis("v", 2)] });
  const t = builder.add("input", [], { name: "t", dtype: "i32", axes: [axis("s", 4)] });
  const loss = builder.add("crossEntropy", [x, t], classes);
  const graph = builder.finish("loss", [{ name: "loss", node: loss }]);
  const rounded = interpret(graph, { inputs: { x: logits, t: targets }, roundF32: true }).get("loss")!;
  assertClose(rounded, tensor({ s: 4 }, expected), { absolute: 1e-7, relative: 1e-6 });
});

test("the gradient of cross entropy is softmax minus one at the target, 0 where masked", () => {
  const logits = tensor({ s: 2, v: 3 }, [Math.log(1), Math.log(2), Math.log(5), 1, 2, 3]);
  const inputs = [logits, i32({ s: 2 }, [1, -1]), tensor({ s: 2 }, [2, 7])];
  const expected = [2 / 8, 4 / 8 - 2, 10 / 8, 0, 0, 0];
  assertClose(runOp("crossEntropyGradient", inputs, classes), tensor({ s: 2, v: 3 }, expected));
});

test("the mean is over the positions that count, and 0 where none does", () => {
  const logits = random({ b: 2, s: 3, v: 4 });
  const targets = i32({ b: 2, s: 3 }, [0, -1, 3, -1, 2, -1]);
  const each = runOp("crossEntropy", [logits, targets], classes).data;
  const mean = (over: readonly string[], of = targets) =>
    runOp("meanCrossEntropy", [logits, of], { axis: "v", over });
  assertClose(mean(["b", "s"]), tensor({}, [(each[0]! + each[2]! + each[4]!) / 3]));
  assertClose(mean(["s"]), tensor({ b: 2 }, [(each[0]! + each[2]!) / 2, each[4]!]));
  assert.equal(mean(["s", "b"], i32({ b: 2, s: 3 }, [-1, -1, -1, -1, -1, -1])), tensor({}, [0]));
});

test("mean", () => {
  assert.equal(
    runOp("mean", [tensor({ a: 2, b: 2 }, [1, 2, 5, 10])], { axis: "a" }),
    tensor({ b: 2 }, [3, 6]),
  );
});

/** The scores that each query of head h sees, as loops. */
function scoresOf(q: TensorArray, k: TensorArray, query: number, head: number, first: number): number[] {
  const scores: number[] = [];
  for (let key = first; key <= query; key++) {
    let sum = 0;
    for (let i = 0; i < 2; i++)
      sum += q.data[(query * 4 + head) * 2 + i]! * k.data[(key * 2 + Math.floor(head / 2)) * 2 + i]!;
    scores.push(0.7 * sum);
  }
  return scores;
}

const heads = { heads: "h", kvHeads: "k", headDim: "d", sequence: "s", scale: 0.7, causal: true };
const [q, k, v] = [
  random({ s: 5, h: 4, d: 2 }),
  random({ s: 5, k: 2, d: 2 }, 2),
  random({ s: 5, k: 2, d: 2 }, 3),
];
const index = i32({ s: 5 }, [0, 1, 2, 3, 4]);

for (const starts of [
  [0, 0, 0, 0, 0],
  [0, 0, 2, 2, 4],
]) {
  const given = starts.some(Boolean) ? [i32({ s: 5 }, starts)] : [];

  test(`attention whose queries begin at ${starts}: the logarithm of its sum, and its result`, () => {
    const sums = tensor({ s: 5, h: 4 });
    const results = tensor({ s: 5, h: 4, d: 2 });
    for (let query = 0; query < 5; query++) {
      for (let head = 0; head < 4; head++) {
        const weights = scoresOf(q, k, query, head, starts[query]!).map(Math.exp);
        const total = weights.reduce((sum, one) => sum + one, 0);
        sums.data[query * 4 + head] = Math.log(total);
        for (let i = 0; i < 2; i++) {
          const values = weights.map(
            (weight, at) => weight * v.data[((starts[query]! + at) * 2 + Math.floor(head / 2)) * 2 + i]!,
          );
          results.data[(query * 4 + head) * 2 + i] = values.reduce((sum, one) => sum + one, 0) / total;
        }
      }
    }
    assertClose(runOp("attendLogSumExp", [q, k, index, ...given], heads), sums);
    assertClose(runOp("attend", [q, k, v, index, ...given], heads), results);
  });
}

test("attention's gradient stays finite where scores are far apart", () => {
  const far = { ...q, data: q.data.map((value) => 1e4 * value) };
  const result = runOp("attend", [far, k, v, index], heads);
  const sum = runOp("attendLogSumExp", [far, k, index], heads);
  const gradient = runOp("attendGradient", [far, k, v, index, result, sum, q], heads);
  assert.ok(gradient.data.every(Number.isFinite));
});

test.run();
