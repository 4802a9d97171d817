/** Each composite's definition against its formula in plain loops. */

import type { ScalarExpression, TensorArray } from "@weft/dsl";
import { assertClose, randomNumbers } from "@weft/dsl/testing";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { i32, runOp, tensor } from "../../support/run-op.ts";

const test = suite("composite ops");

function random(sizes: Readonly<Record<string, number>>, seed = 1): TensorArray {
  const next = randomNumbers(seed);
  const blank = tensor(sizes);
  return { ...blank, data: blank.data.map(() => 4 * next() - 2) };
}

test("rmsNorm", () => {
  const [rows, size, epsilon] = [3, 5, 1e-3];
  const x = random({ seq: rows, hidden: size });
  const weight = random({ hidden: size }, 2);
  const expected = tensor({ seq: rows, hidden: size });
  for (let row = 0; row < rows; row++) {
    let squares = 0;
    for (let i = 0; i < size; i++) squares += x.data[row * size + i]! ** 2;
    for (let i = 0; i < size; i++) {
      expected.data[row * size + i] =
        (x.data[row * size + i]! / Math.sqrt(squares / size + epsilon)) * weight.data[i]!;
    }
  }
  assertClose(runOp("rmsNorm", [x, weight], { axis: "hidden", epsilon }), expected);
  // By hand: mean of squares (9 + 16) / 2.
  const small = runOp("rmsNorm", [tensor({ a: 2 }, [3, 4]), tensor({ a: 2 }, [1, 2])], {
    axis: "a",
    epsilon: 1e-12,
  });
  assertClose(small, tensor({ a: 2 }, [3 / Math.sqrt(12.5), 8 / Math.sqrt(12.5)]));
});

test("rmsNorm over an axis that is not the last one", () => {
  const x = tensor({ a: 2, b: 2 }, [3, 0, 4, 1]);
  const result = runOp("rmsNorm", [x, tensor({ a: 2 }, [1, 1])], { axis: "a", epsilon: 1e-12 });
  const [left, right] = [Math.sqrt(12.5), Math.sqrt(0.5)];
  assertClose(result, tensor({ a: 2, b: 2 }, [3 / left, 0, 4 / left, 1 / right]));
});

test("softmax, also of large numbers and of masked ones", () => {
  const result = runOp("softmax", [tensor({ a: 3 }, [Math.log(1), Math.log(2), Math.log(5)])], { axis: "a" });
  assertClose(result, tensor({ a: 3 }, [1 / 8, 2 / 8, 5 / 8]));
  const large = runOp("softmax", [tensor({ a: 2 }, [1000, 1000])], { axis: "a" });
  assert.equal([...large.data], [0.5, 0.5]);
  const masked = runOp("softmax", [tensor({ a: 2 }, [3, Number.NEGATIVE_INFINITY])], { axis: "a" });
  assert.equal([...masked.data], [1, 0]);
  const columns = runOp("softmax", [tensor({ a: 2, b: 2 }, [0, 5, 0, 5])], { axis: "a" });
  assert.equal([...columns.data], [0.5, 0.5, 0.5, 0.5]);
});

test("silu", () => {
  const result = runOp("silu", [tensor({ a: 3 }, [0, 1, -2])], {});
  assertClose(result, tensor({ a: 3 }, [0, 1 / (1 + Math.exp(-1)), -2 / (1 + Math.exp(2))]));
});

test("rope turns the halves against each other", () => {
  const [rows, heads, size, theta] = [4, 2, 6, 10000];
  const x = random({ seq: rows, heads, headDim: size });
  const positions = [0, 1, 7, 1000];
  const expected = tensor({ seq: rows, heads, headDim: size });
  for (let row = 0; row < rows; row++) {
    for (let head = 0; head < heads; head++) {
      const base = (row * heads + head) * size;
      for (let i = 0; i < size / 2; i++) {
        const angle = positions[row]! * theta ** ((-2 * i) / size);
        const [low, high] = [x.data[base + i]!, x.data[base + i + size / 2]!];
        expected.data[base + i] = low * Math.cos(angle) - high * Math.sin(angle);
        expected.data[base + i + size / 2] = high * Math.cos(angle) + low * Math.sin(angle);
      }
    }
  }
  const attributes = { axis: "headDim", theta, sequence: "seq" };
  assertClose(runOp("rope", [x, i32({ seq: rows }, positions)], attributes), expected);
});

test("linear, with a bias and with several axes", () => {
  const x = random({ seq: 2, heads: 2, headDim: 3 });
  const weight = random({ hidden: 4, heads: 2, headDim: 3 }, 2);
  const bias = random({ hidden: 4 }, 3);
  const expected = tensor({ seq: 2, hidden: 4 });
  for (let row = 0; row < 2; row++) {
    for (let out = 0; out < 4; out++) {
      let sum = bias.data[out]!;
      for (let k = 0; k < 6; k++) sum += x.data[row * 6 + k]! * weight.data[out * 6 + k]!;
      expected.data[row * 4 + out] = sum;
    }
  }
  const attributes = { from: ["heads", "headDim"], to: ["hidden"] };
  assertClose(runOp("linear", [x, weight, bias], attributes), expected);
});

test("linear from an axis to one of the same name", () => {
  const x = tensor({ seq: 1, hidden: 2 }, [1, 2]);
  const weight = tensor({ hidden: 3, "hidden'": 2 }, [1, 0, 0, 1, 1, 1]);
  const result = runOp("linear", [x, weight], { from: ["hidden"], to: ["hidden"] });
  assert.equal(result, tensor({ seq: 1, hidden: 3 }, [1, 2, 3]));
});

interface AttentionCase {
  readonly queries: number;
  readonly past: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly size: number;
  readonly causal: boolean;
}

/** Attention as three nested loops: query head h reads key head floor(h / group). */
function attention(
  q: TensorArray,
  k: TensorArray,
  v: TensorArray,
  shape: AttentionCase,
  scale: number,
): TensorArray {
  const { queries, past, heads, kvHeads, size, causal } = shape;
  const keys = queries + past;
  const result = tensor({ seq: queries, heads, headDim: size });
  for (let query = 0; query < queries; query++) {
    for (let head = 0; head < heads; head++) {
      const keyHead = Math.floor(head / (heads / kvHeads));
      const at = (query * heads + head) * size;
      const visible = causal ? past + query + 1 : keys;
      const weights: number[] = [];
      for (let key = 0; key < visible; key++) {
        let sum = 0;
        for (let i = 0; i < size; i++) sum += q.data[at + i]! * k.data[(key * kvHeads + keyHead) * size + i]!;
        weights.push(Math.exp(sum * scale));
      }
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      for (let i = 0; i < size; i++) {
        let sum = 0;
        for (let key = 0; key < visible; key++) {
          sum += (weights[key]! / total) * v.data[(key * kvHeads + keyHead) * size + i]!;
        }
        result.data[at + i] = sum;
      }
    }
  }
  return result;
}

test("attend: grouped heads, causal or not, with and without a past", () => {
  for (const heads of [2, 6]) {
    for (const causal of [true, false]) {
      for (const past of [0, 3]) {
        const shape = { queries: 4, past, heads, kvHeads: 2, size: 3, causal };
        const q = random({ seq: 4, heads, headDim: 3 }, 1);
        const own = past === 0;
        const k = random({ [own ? "seq" : "keys"]: 4 + past, kvHeads: 2, headDim: 3 }, 2);
        const v = random({ [own ? "seq" : "keys"]: 4 + past, kvHeads: 2, headDim: 3 }, 3);
        const index = i32(
          { seq: 4 },
          [0, 1, 2, 3].map((i) => past + i),
        );
        const scale = 1 / Math.sqrt(3);
        const names = { heads: "heads", kvHeads: "kvHeads", headDim: "headDim", sequence: "seq" };
        const attributes = { ...names, causal, scale, ...(own ? {} : { keys: "keys" }) };
        assertClose(runOp("attend", [q, k, v, index], attributes), attention(q, k, v, shape, scale));
      }
    }
  }
});

test("attend: a batch, keys in another axis order, one name for all heads", () => {
  const q = tensor({ batch: 2, seq: 1, heads: 1, headDim: 1 }, [1, 1]);
  const k = tensor({ heads: 1, keys: 2, batch: 2, headDim: 1 }, [0, Math.log(3), Math.log(3), 0]);
  const v = tensor({ keys: 2, heads: 1, headDim: 1, batch: 2 }, [8, 4, 4, 0]);
  const names = { heads: "heads", kvHeads: "heads", headDim: "headDim", sequence: "seq", keys: "keys" };
  const result = runOp("attend", [q, k, v, i32({ seq: 1 }, [1])], { ...names, causal: true, scale: 1 });
  // Batch 0: weights 1/4 and 3/4 over 8 and 4; batch 1: 3/4 and 1/4 over 4 and 0.
  assertClose(result, tensor({ batch: 2, seq: 1, heads: 1, headDim: 1 }, [5, 3]));
});

test("composites take what is stored in bf16, and compute in f32", () => {
  const bf16 = (array: TensorArray): TensorArray => ({ ...array, dtype: "bf16" });
  const x = tensor({ seq: 1, hidden: 2 }, [3, 4]);
  const ones = tensor({ hidden: 2 }, [1, 1]);
  const same = [
    runOp("rmsNorm", [x, bf16(ones)], { axis: "hidden", epsilon: 1e-6 }),
    runOp("rmsNorm", [bf16(x), ones], { axis: "hidden", epsilon: 1e-6 }),
  ];
  for (const one of same) assertClose(one, runOp("rmsNorm", [x, ones], { axis: "hidden", epsilon: 1e-6 }));
  assertClose(runOp("softmax", [bf16(x)], { axis: "hidden" }), runOp("softmax", [x], { axis: "hidden" }));
  assertClose(runOp("silu", [bf16(x)], {}), runOp("silu", [x], {}));
  const names = { axis: "hidden", theta: 100, sequence: "seq" };
  const position = i32({ seq: 1 }, [3]);
  assertClose(runOp("rope", [bf16(x), position], names), runOp("rope", [x, position], names));
});

test("pointwise: a user's function, whatever it makes of its arguments", () => {
  const argument = (index: number): ScalarExpression => ({ tag: "argument", index });
  const number = (value: number): ScalarExpression => ({ tag: "constant", value });
  const run = (expression: ScalarExpression) =>
    runOp("pointwise", [tensor({ a: 2 }, [1, -2]), tensor({ b: 2 }, [10, 20])], { name: "f", expression });
  const product: ScalarExpression = {
    tag: "binary",
    function: "mul",
    left: { tag: "unary", function: "abs", operand: argument(0) },
    right: argument(1),
  };
  assert.equal(run(product), tensor({ a: 2, b: 2 }, [10, 20, 20, 40]));
  // A comparison is a number, a number is a condition, an argument may be left out.
  const positive: ScalarExpression = { tag: "binary", function: "less", left: number(0), right: argument(0) };
  assert.equal(run(positive), tensor({ a: 2 }, [1, 0]));
  const chosen: ScalarExpression = {
    tag: "select",
    condition: number(0),
    then: number(1),
    otherwise: argument(1),
  };
  assert.equal(run(chosen), tensor({ b: 2 }, [10, 20]));
  assert.equal(run(number(3)), tensor({}, [3]));
});

test.run();
