/** Pointwise ops: their values, broadcasting by name, comparisons and rounding. */
import {
  binaryFunctions,
  evaluateBinary,
  evaluateUnary,
  isComparison,
  roundTo,
  unaryFunctions,
} from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../../support/fast-check.ts";
import { i32, runOp, tensor } from "../../support/run-op.ts";

const test = suite("pointwise ops");

/** x, and the value of each function there, to six digits, from tables. */
const unaryValues: Record<(typeof unaryFunctions)[number], readonly (readonly [number, number])[]> = {
  neg: [[2, -2]],
  abs: [
    [-3, 3],
    [3, 3],
  ],
  exp: [
    [0, 1],
    [2, 7.389056],
  ],
  log: [
    [1, 0],
    [5, 1.609438],
  ],
  sqrt: [[3, 1.732051]],
  rsqrt: [[4, 0.5]],
  reciprocal: [[8, 0.125]],
  sin: [[Math.PI / 6, 0.5]],
  cos: [[Math.PI / 3, 0.5]],
  tanh: [[1, 0.761594]],
  sigmoid: [
    [0, 0.5],
    [2, 0.880797],
    [-800, 0],
  ],
  floor: [
    [1.75, 1],
    [-1.25, -2],
  ],
};

const binaryValues: Record<(typeof binaryFunctions)[number], readonly (readonly [number, number, number])[]> =
  {
    add: [[2, 3, 5]],
    sub: [[2, 3, -1]],
    mul: [[2, 3, 6]],
    div: [[3, 2, 1.5]],
    max: [[2, 3, 3]],
    min: [[2, 3, 2]],
    pow: [
      [2, 10, 1024],
      [4, -0.5, 0.5],
    ],
    less: [
      [2, 3, 1],
      [3, 3, 0],
    ],
    lessEqual: [
      [3, 3, 1],
      [4, 3, 0],
    ],
    equal: [
      [3, 3, 1],
      [4, 3, 0],
    ],
  };

test("unary functions", () => {
  for (const name of unaryFunctions) {
    for (const [x, y] of unaryValues[name]) {
      const [value] = runOp(name, [tensor({ a: 1 }, [x])], {}).data;
      assert.ok(Math.abs(value! - y) < 1e-6, `${name}(${x}) is ${value}, not ${y}`);
      assert.is(evaluateUnary(name, x), value);
    }
  }
});

test("binary functions; comparisons give bool", () => {
  for (const name of binaryFunctions) {
    for (const [a, b, y] of binaryValues[name]) {
      const result = runOp(name, [tensor({}, [a]), tensor({}, [b])], {});
      assert.is(result.data[0], y, name);
      assert.is(result.dtype, isComparison(name) ? "bool" : "f32");
      assert.is(evaluateBinary(name, a, b), y);
    }
  }
});

test("broadcasts by name: the widest input leads, others add what it lacks", () => {
  const sum = runOp("add", [tensor({ b: 2 }, [10, 20]), tensor({ a: 2, b: 2 }, [1, 2, 3, 4])], {});
  assert.equal(sum, tensor({ a: 2, b: 2 }, [11, 22, 13, 24]));
  const outer = runOp("mul", [tensor({ a: 2 }, [1, 2]), tensor({ b: 3 }, [1, 10, 100])], {});
  assert.equal(outer, tensor({ a: 2, b: 3 }, [1, 10, 100, 2, 20, 200]));
  const turned = runOp(
    "sub",
    [tensor({ a: 2, b: 2 }, [1, 2, 3, 4]), tensor({ b: 2, a: 2 }, [1, 2, 3, 4])],
    {},
  );
  assert.equal(turned, tensor({ a: 2, b: 2 }, [0, -1, 1, 0]));
});

test("integers stay integers", () => {
  assert.equal(runOp("div", [i32({ a: 2 }, [7, -7]), i32({}, [2])], {}), i32({ a: 2 }, [3, -3]));
});

test("select", () => {
  const condition = tensor({ a: 2 }, [1, 0], "bool");
  const result = runOp("select", [condition, tensor({ b: 2 }, [1, 2]), tensor({}, [-1])], {});
  assert.equal(result, tensor({ a: 2, b: 2 }, [1, 2, -1, -1]));
});

test("select does not let NaN of the other branch through", () => {
  const condition = tensor({ a: 2 }, [1, 0], "bool");
  const result = runOp("select", [condition, tensor({ a: 2 }, [1, Number.NaN]), tensor({}, [7])], {});
  assert.equal([...result.data], [1, 7]);
});

test("cast", () => {
  const x = tensor({ a: 4 }, [1.75, -1.75, 0, 257.01]);
  assert.equal([...runOp("cast", [x], { dtype: "i32" }).data], [1, -1, 0, 257]);
  const beyond = tensor({ a: 8 }, [2 ** 31, -(2 ** 31), 3e9, -3e9, Infinity, -Infinity, NaN, -0.5]);
  assert.equal(
    [...runOp("cast", [beyond], { dtype: "i32" }).data],
    [2147483647, -2147483648, 2147483647, -2147483648, 2147483647, -2147483648, 0, 0],
  );
  assert.equal([...runOp("cast", [x], { dtype: "bool" }).data], [1, 1, 0, 1]);
  // bf16 has 8 bits of significand: 257.01 lies between 256 and 258.
  assert.equal([...runOp("cast", [x], { dtype: "bf16" }).data], [1.75, -1.75, 0, 258]);
  assert.equal([...runOp("cast", [x], { dtype: "f16" }).data], [1.75, -1.75, 0, 257]);
});

test("rounding: ties to even, subnormals, overflow", () => {
  const bf16 = (value: number) => roundTo("bf16", value);
  assert.equal([bf16(257), bf16(259), bf16(-257)], [256, 260, -256]);
  assert.is(bf16(Number.POSITIVE_INFINITY), Number.POSITIVE_INFINITY);
  assert.ok(Number.isNaN(bf16(Number.NaN)));
  const f16 = (value: number) => roundTo("f16", value);
  assert.equal([f16(2049), f16(2051), f16(65504), f16(65520)], [2048, 2052, 65504, Number.POSITIVE_INFINITY]);
  assert.equal([f16(2 ** -24), f16(2 ** -25), f16(3 * 2 ** -26)], [2 ** -24, 0, 2 ** -24]);
  fc.assert(
    fc.property(fc.float({ noNaN: true }), (value) => {
      const rounded = bf16(value);
      assert.is(bf16(rounded), rounded);
      if (Math.abs(value) < 3e38 && Math.abs(value) > 1e-37) {
        assert.ok(Math.abs(rounded - value) <= Math.abs(value) * 2 ** -8);
      }
    }),
  );
});

test.run();
