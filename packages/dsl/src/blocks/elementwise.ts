/**
 * Blocks that work element by element, and pointwise functions of the user's own. Each of `tanh`, `mul`, ... is a block
 * and, called inside a traced function, the function itself.
 */
import type { Dtype } from "../graph/types.ts";
import {
  type BinaryFunction,
  isComparison,
  type ScalarExpression,
  type UnaryFunction,
} from "../ops/scalar.ts";
import { type Block, blockError, dataOf } from "./block.ts";
import { leaf } from "./leaf.ts";
import { captureSite } from "./source.ts";
import { binaryScalar, describe, Scalar, type ScalarLike, unaryScalar } from "./trace.ts";
import type { AnyBlock } from "./types.ts";
import { tensorWire, tupleWire } from "./wire.ts";
import type { Bools } from "./wires.ts";

/** A block of one argument that is also a function of traced values. */
export type UnaryBlock = Block<[], []> & ((x: ScalarLike) => Scalar);
/** A block that merges a pair and is also a function of traced values. */
export type BinaryBlock<O = []> = Block<[[], []], O> & ((left: ScalarLike, right: ScalarLike) => Scalar);

const float = tensorWire([]);
const pair = tupleWire([float, float]);

function callable<F extends (...values: never[]) => Scalar, I, O>(call: F, block: AnyBlock): F & Block<I, O> {
  const data = block as Block<I, O>;
  return Object.freeze(
    Object.assign(call, {
      [dataOf]: block,
      input: data.input,
      output: data.output,
      expression: data.expression,
      source: undefined,
      to: data.to.bind(data),
      named: data.named.bind(data),
    }),
  ) as unknown as F & Block<I, O>;
}

function unary(name: UnaryFunction): UnaryBlock {
  return callable((x: ScalarLike) => unaryScalar(name, x), leaf(name, float, float));
}

function binary<O>(name: BinaryFunction, label: string = name): BinaryBlock<O> {
  return callable(
    (left: ScalarLike, right: ScalarLike) => binaryScalar(name, left, right),
    leaf(name, pair, tensorWire([], isComparison(name) ? "bool" : "float"), { label }),
  );
}

/** -x. As a block [...] -> [...]; in a traced function `neg(x)`. */
export const neg = unary("neg");
/** |x|. */
export const abs = unary("abs");
/** e^x. */
export const exp = unary("exp");
/** The natural logarithm. */
export const log = unary("log");
/** The square root. */
export const sqrt = unary("sqrt");
/** 1 / sqrt(x). */
export const rsqrt = unary("rsqrt");
/** 1 / x. */
export const reciprocal = unary("reciprocal");
/** Sine of radians. */
export const sin = unary("sin");
/** Cosine of radians. */
export const cos = unary("cos");
/** The hyperbolic tangent. */
export const tanh = unary("tanh");
/** 1 / (1 + e^-x). */
export const sigmoid = unary("sigmoid");
/** The largest whole number not above x. */
export const floor = unary("floor");

/** The sum of a pair: ([...], [...]) -> [...]; in a traced function `add(x, y)`. */
export const add = binary<[]>("add");
/** The first of a pair minus the second. */
export const sub = binary<[]>("sub");
/** The product of a pair, element by element. */
export const mul = binary<[]>("mul");
/** The first of a pair divided by the second. */
export const div = binary<[]>("div");
/** The first of a pair to the power of the second. */
export const pow = binary<[]>("pow");
/** The larger of a pair, element by element. */
export const maximum = binary<[]>("max", "maximum");
/** The smaller of a pair, element by element. */
export const minimum = binary<[]>("min", "minimum");
/** Whether the first is below the second: ([...], [...]) -> bool [...]. */
export const less = binary<Bools<[]>>("less");
/** Whether the first is at most the second. */
export const lessEqual = binary<Bools<[]>>("lessEqual");
/** Whether both are the same number. */
export const equal = binary<Bools<[]>>("equal");

/** x * sigmoid(x) (Elfwing et al. 2017). */
export const silu = leaf("silu", float, float) as Block<[], []>;

/**
 * The same values in another storage type: [...] -> [...].
 * @example chain(logits, cast("f32"));
 */
export function cast(dtype: Extract<Dtype, "f32" | "bf16" | "f16">): Block<[], []> {
  return leaf("cast", float, float, { site: captureSite(cast), attributes: { dtype } }) as Block<[], []>;
}

type EmptyWires<Arguments extends readonly unknown[]> = Arguments extends readonly [unknown, ...infer Rest]
  ? [[], ...EmptyWires<Rest>]
  : [];

/** The wires of a function of so many values: one tensor for one value, a tuple for more. */
type PointwiseInput<Arguments extends readonly unknown[]> = Arguments extends readonly [unknown]
  ? []
  : EmptyWires<Arguments>;

/**
 * A function of the user's own, applied element by element. It runs once, on expression objects, and becomes data:
 * differentiable and fusible like any built-in.
 *
 * Wires: one argument [...] -> [...], two ([...], [...]) -> [...], and so on.
 * @throws WeftError when the function gives no expression, uses JavaScript's operators on its arguments, or holds NaN.
 * @example const softcap = pointwise("softcap", (x) => tanh(x.div(30)).mul(30));
 */
export function pointwise<Compute extends (...values: Scalar[]) => Scalar>(
  name: string,
  compute: Compute,
): Block<PointwiseInput<Parameters<Compute>>, []> {
  if (!/^[A-Za-z_]\w*$/.test(name))
    throw blockError("pointwise", "a name is a letter and letters or digits", name);
  if (compute.length === 0)
    throw blockError("pointwise", "the function must list its arguments", `${name} with none`);
  const values = Array.from({ length: compute.length }, (_, index) => new Scalar({ tag: "argument", index }));
  const result: unknown = compute(...values);
  if (!(result instanceof Scalar)) {
    throw blockError(
      "pointwise",
      "the function must return an expression",
      `${name} returned ${describe(result)}`,
    );
  }
  const expression: ScalarExpression = result.expression;
  const input = values.length === 1 ? float : tupleWire(values.map(() => float));
  return leaf("pointwise", input, float, {
    site: captureSite(pointwise),
    label: name,
    attributes: { name },
    expression,
  }) as Block<PointwiseInput<Parameters<Compute>>, []>;
}
