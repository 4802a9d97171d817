/** Tracing of the user's own functions. */
import {
  type AnyBlock,
  add,
  evaluateBinary,
  evaluateUnary,
  exp,
  formatProblem,
  leavesOf,
  pointwise,
  type Scalar,
  type ScalarExpression,
  select,
  tanh,
  WeftError,
} from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../../support/fast-check.ts";

const test = suite("blocks: pointwise");

function expressionOf(block: AnyBlock): ScalarExpression {
  const [placed] = [...leavesOf(block)];
  return placed!.leaf.expression!;
}

function evaluate(expression: ScalarExpression, values: readonly number[]): number {
  const at = (one: ScalarExpression) => evaluate(one, values);
  switch (expression.tag) {
    case "argument":
      return values[expression.index]!;
    case "constant":
      return expression.value;
    case "unary":
      return evaluateUnary(expression.function, at(expression.operand));
    case "binary":
      return evaluateBinary(expression.function, at(expression.left), at(expression.right));
    case "select":
      return at(expression.condition) !== 0 ? at(expression.then) : at(expression.otherwise);
    default:
      return expression satisfies never;
  }
}

function complaint(build: () => unknown): string {
  try {
    build();
  } catch (error) {
    assert.instance(error, WeftError);
    return (error as WeftError).problems
      .map((one) => formatProblem({ ...one, location: undefined }))
      .join("\n");
  }
  throw new Error("nothing was thrown");
}

test("a function becomes data", () => {
  const softcap = pointwise("softcap", (x) => tanh(x.div(30)).mul(30));
  assert.equal(expressionOf(softcap), {
    tag: "binary",
    function: "mul",
    left: {
      tag: "unary",
      function: "tanh",
      operand: {
        tag: "binary",
        function: "div",
        left: { tag: "argument", index: 0 },
        right: { tag: "constant", value: 30 },
      },
    },
    right: { tag: "constant", value: 30 },
  });
  const [placed] = [...leavesOf(softcap)];
  assert.equal(
    [placed?.leaf.op, placed?.leaf.label, placed?.leaf.attributes],
    ["pointwise", "softcap", { name: "softcap" }],
  );
});

test("the data means what the function does", () => {
  const block = pointwise("mixed", (a, b) =>
    select(a.lessEqual(b), add(a.max(0), exp(b.neg().abs())), a.sub(b).pow(2).sigmoid().min(0.75)),
  );
  const expected = (a: number, b: number) =>
    a <= b ? Math.max(a, 0) + Math.exp(Math.abs(-b)) : Math.min(1 / (1 + Math.exp(-((a - b) ** 2))), 0.75);
  const small = fc.double({ min: -20, max: 20, noNaN: true });
  fc.assert(
    fc.property(small, small, (a, b) => {
      assert.is(evaluate(expressionOf(block), [a, b]), expected(a, b));
    }),
  );
});

test("what cannot be traced is a sentence", () => {
  const wrong = (compute: (x: Scalar) => unknown) => () => pointwise("f", compute as (x: Scalar) => Scalar);
  const operators =
    "[pointwise] a traced value has no number yet, so the operators + - * / < and conditions do not work on it; write x.add(1), x.mul(y), x.less(0), select(condition, a, b)";
  assert.is(complaint(wrong((x) => (x as unknown as number) * 2)), operators);
  assert.is(complaint(wrong((x) => ((x as unknown as number) > 0 ? x : x.neg()))), operators);
  assert.is(complaint(wrong((x) => `${x}`)), operators);
  assert.is(complaint(wrong((x) => Math.max(x as unknown as number, 0))), operators);
  assert.is(
    complaint(wrong((_x) => undefined)),
    "[pointwise] the function must return an expression; given f returned nothing; is a return missing?",
  );
  assert.is(
    complaint(wrong((_x) => 3)),
    "[pointwise] the function must return an expression; given f returned 3",
  );
  assert.is(complaint(wrong((x) => x.mul(Number.NaN))), "[pointwise] a constant must not be NaN; given NaN");
  assert.is(
    complaint(wrong((x) => x.mul("2" as unknown as number))),
    '[pointwise] an operand must be a traced value or a number; given "2"',
  );
  assert.is(
    complaint(() => pointwise("f", (() => tanh(1)) as () => Scalar)),
    "[pointwise] the function must list its arguments; given f with none",
  );
  assert.is(
    complaint(() => pointwise("two words", (x) => x)),
    "[pointwise] a name is a letter and letters or digits; given two words",
  );
});

test.run();
