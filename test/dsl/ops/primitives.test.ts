/** Reductions, contractions, movement, indices and constants, against numbers worked out by hand. */
import { axis } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { i32, runOp, tensor } from "../../support/run-op.ts";

const test = suite("primitive ops");

const x = tensor({ a: 2, b: 3 }, [1, 2, 3, 4, 5, 6]);

test("reductions take an axis away", () => {
  assert.equal(runOp("reduceSum", [x], { axis: "a" }), tensor({ b: 3 }, [5, 7, 9]));
  assert.equal(runOp("reduceSum", [x], { axis: "b" }), tensor({ a: 2 }, [6, 15]));
  assert.equal(runOp("reduceMax", [x], { axis: "b" }), tensor({ a: 2 }, [3, 6]));
  assert.equal(runOp("reduceMax", [tensor({ a: 2 }, [-3, -2])], { axis: "a" }), tensor({}, [-2]));
});

test("topK gives values with their indices, the largest first", () => {
  const top = (values: readonly number[], count: number) =>
    runOp("topK", [tensor({ a: values.length }, values)], { axis: "a", into: "kept", count });
  assert.equal(top([3, 7, -1, 5], 3), tensor({ kept: 3, valueAndIndex: 2 }, [7, 1, 5, 3, 3, 0]));
  // The lower index of equal ones first, zeros of either sign are equal, NaN before all.
  assert.equal(top([2, 5, 5, 2], 3), tensor({ kept: 3, valueAndIndex: 2 }, [5, 1, 5, 2, 2, 0]));
  assert.equal(
    [...top([-0, 0], 2).data].filter((_, at) => at % 2 === 1),
    [0, 1],
  );
  const { data } = top([Number.POSITIVE_INFINITY, Number.NaN, Number.NEGATIVE_INFINITY], 3);
  assert.equal([data[1], data[3], data[5]], [1, 0, 2]);
  // Of each row, along any axis.
  assert.equal(
    runOp("topK", [x], { axis: "a", into: "kept", count: 1 }),
    tensor({ b: 3, kept: 1, valueAndIndex: 2 }, [4, 1, 5, 1, 6, 1]),
  );
});

test("scatterAdd adds rows where their indices say, several to one", () => {
  const updates = tensor({ s: 3, b: 2 }, [1, 2, 10, 20, 100, 200]);
  const result = runOp("scatterAdd", [updates, i32({ s: 3 }, [2, 0, 2])], { axis: axis("v", 4) });
  assert.equal(result, tensor({ v: 4, b: 2 }, [10, 20, 0, 0, 101, 202, 0, 0]));
  // Axes in any order; an index alone names one row.
  const turned = tensor({ b: 2, s: 3 }, [1, 10, 100, 2, 20, 200]);
  assert.equal(runOp("scatterAdd", [turned, i32({ s: 3 }, [2, 0, 2])], { axis: axis("v", 4) }), result);
  assert.equal(
    runOp("scatterAdd", [tensor({ b: 2 }, [3, 4]), i32({}, [1])], { axis: axis("v", 2) }),
    tensor({ v: 2, b: 2 }, [0, 0, 3, 4]),
  );
  assert.throws(
    () => runOp("scatterAdd", [updates, i32({ s: 3 }, [2, 4, 2])], { axis: axis("v", 4) }),
    "[scatterAdd] an index must be at least 0 and below 4; given 4",
  );
});

test("broadcast repeats and orders", () => {
  const axes = [axis("b", 3), axis("c", 2), axis("a", 2)];
  const expected = tensor({ b: 3, c: 2, a: 2 }, [1, 4, 1, 4, 2, 5, 2, 5, 3, 6, 3, 6]);
  assert.equal(runOp("broadcast", [x], { axes }), expected);
  assert.equal(runOp("broadcast", [i32({}, [7])], { axes: [axis("a", 2)] }), i32({ a: 2 }, [7, 7]));
});

test("dot contracts by name", () => {
  const weight = tensor({ c: 2, b: 3 }, [1, 0, 1, 0, 2, 0]);
  assert.equal(runOp("dot", [x, weight], { contract: ["b"] }), tensor({ a: 2, c: 2 }, [4, 4, 10, 10]));
  // The transposed weight is the same weight.
  const transposed = tensor({ b: 3, c: 2 }, [1, 0, 0, 2, 1, 0]);
  assert.equal(runOp("dot", [x, transposed], { contract: ["b"] }), tensor({ a: 2, c: 2 }, [4, 4, 10, 10]));
  // Axes that both keep are a batch; contracting all gives a scalar.
  assert.equal(runOp("dot", [x, x], { contract: ["b"] }), tensor({ a: 2 }, [14, 77]));
  assert.equal(runOp("dot", [x, x], { contract: ["b", "a"] }), tensor({}, [91]));
});

test("dot of stored bf16 gives f32", () => {
  assert.is(runOp("dot", [x, tensor({ b: 3 }, [1, 1, 1], "bf16")], { contract: ["b"] }).dtype, "f32");
});

test("gather looks rows up, along any axis", () => {
  const indices = i32({ seq: 2 }, [1, 0]);
  assert.equal(runOp("gather", [x, indices], { axis: "a" }), tensor({ seq: 2, b: 3 }, [4, 5, 6, 1, 2, 3]));
  assert.equal(
    runOp("gather", [x, i32({ seq: 2 }, [2, 2])], { axis: "b" }),
    tensor({ seq: 2, a: 2 }, [3, 6, 3, 6]),
  );
  for (const index of [-1, 2]) {
    assert.throws(
      () => runOp("gather", [x, i32({}, [index])], { axis: "a" }),
      new RegExp(`\\[gather\\] an index must be at least 0 and below 2; given ${index}`),
    );
  }
});

test("embedding is gather in f32", () => {
  const table = tensor({ vocab: 2, hidden: 2 }, [1, 2, 3, 4], "bf16");
  const rows = runOp("embedding", [i32({ seq: 2 }, [1, 1]), table], { axis: "vocab" });
  assert.equal(rows, tensor({ seq: 2, hidden: 2 }, [3, 4, 3, 4]));
});

test("movement renames, splits, merges, cuts and joins", () => {
  assert.equal(runOp("rename", [x], { from: "b", to: "c" }), tensor({ a: 2, c: 3 }, [1, 2, 3, 4, 5, 6]));
  const long = tensor({ a: 6, b: 1 }, [1, 2, 3, 4, 5, 6]);
  const into = [axis("outer", 3), axis("inner", 2)];
  assert.equal(
    runOp("splitAxis", [long], { axis: "a", into }),
    tensor({ outer: 3, inner: 2, b: 1 }, [1, 2, 3, 4, 5, 6]),
  );
  assert.equal(
    runOp("mergeAxes", [x], { axes: ["a", "b"], into: "c" }),
    tensor({ c: 6 }, [1, 2, 3, 4, 5, 6]),
  );
  assert.equal(runOp("slice", [x], { axis: "b", start: 1, size: 2 }), tensor({ a: 2, b: 2 }, [2, 3, 5, 6]));
  assert.equal(runOp("last", [x], { axis: "a" }), tensor({ a: 1, b: 3 }, [4, 5, 6]));
  assert.equal(
    runOp("concat", [x, tensor({ a: 2, b: 1 }, [7, 8])], { axis: "b" }),
    tensor({ a: 2, b: 4 }, [1, 2, 3, 7, 4, 5, 6, 8]),
  );
  assert.equal(
    runOp("concat", [x, tensor({ a: 1, b: 3 }, [7, 8, 9])], { axis: "a" }),
    tensor({ a: 3, b: 3 }, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
  );
});

test("indices and constants", () => {
  assert.equal(runOp("iota", [], { axis: axis("a", 3) }), i32({ a: 3 }, [0, 1, 2]));
  assert.equal(runOp("position", [], { axis: axis("seq", 2) }), i32({ seq: 2 }, [0, 1]));
  assert.equal(runOp("constant", [], { value: 2.5, dtype: "f32" }), tensor({}, [2.5]));
  assert.is(runOp("constant", [], { value: "-inf", dtype: "f32" }).data[0], Number.NEGATIVE_INFINITY);
  assert.ok(Number.isNaN(runOp("constant", [], { value: "nan", dtype: "f32" }).data[0]!));
});

test.run();
