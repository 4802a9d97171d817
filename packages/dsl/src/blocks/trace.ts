/**
 * Tracing: a pointwise function of the user's own runs once on expression objects, which record what it does as a
 * `ScalarExpression`.
 */
import type { BinaryFunction, ScalarExpression, UnaryFunction } from "../ops/scalar.ts";
import { blockError } from "./block.ts";

/** What may stand in an expression: a traced value or a plain number. */
export type ScalarLike = Scalar | number;

/** One value inside a traced function. Comparisons give 1 for true and 0 for false. */
export class Scalar {
  readonly expression: ScalarExpression;

  constructor(expression: ScalarExpression) {
    sizes.set(expression, sizeOf(expression));
    this.expression = Object.freeze(expression);
    Object.freeze(this);
  }

  add(other: ScalarLike): Scalar {
    return binaryScalar("add", this, other);
  }
  sub(other: ScalarLike): Scalar {
    return binaryScalar("sub", this, other);
  }
  mul(other: ScalarLike): Scalar {
    return binaryScalar("mul", this, other);
  }
  div(other: ScalarLike): Scalar {
    return binaryScalar("div", this, other);
  }
  max(other: ScalarLike): Scalar {
    return binaryScalar("max", this, other);
  }
  min(other: ScalarLike): Scalar {
    return binaryScalar("min", this, other);
  }
  pow(other: ScalarLike): Scalar {
    return binaryScalar("pow", this, other);
  }
  less(other: ScalarLike): Scalar {
    return binaryScalar("less", this, other);
  }
  lessEqual(other: ScalarLike): Scalar {
    return binaryScalar("lessEqual", this, other);
  }
  equal(other: ScalarLike): Scalar {
    return binaryScalar("equal", this, other);
  }
  neg(): Scalar {
    return unaryScalar("neg", this);
  }
  abs(): Scalar {
    return unaryScalar("abs", this);
  }
  exp(): Scalar {
    return unaryScalar("exp", this);
  }
  log(): Scalar {
    return unaryScalar("log", this);
  }
  sqrt(): Scalar {
    return unaryScalar("sqrt", this);
  }
  rsqrt(): Scalar {
    return unaryScalar("rsqrt", this);
  }
  reciprocal(): Scalar {
    return unaryScalar("reciprocal", this);
  }
  sin(): Scalar {
    return unaryScalar("sin", this);
  }
  cos(): Scalar {
    return unaryScalar("cos", this);
  }
  tanh(): Scalar {
    return unaryScalar("tanh", this);
  }
  sigmoid(): Scalar {
    return unaryScalar("sigmoid", this);
  }
  floor(): Scalar {
    return unaryScalar("floor", this);
  }

  /** JavaScript's own operators would turn the expression into a number or a string and lose it. */
  [Symbol.toPrimitive](): never {
    throw blockError(
      "pointwise",
      "a traced value has no number yet, so the operators + - * / < and conditions do not work on it",
      undefined,
      "write x.add(1), x.mul(y), x.less(0), select(condition, a, b)",
    );
  }
  valueOf(): never {
    return this[Symbol.toPrimitive]();
  }
}

/**
 * Operations of a traced function. What is used several times counts each time, because that is how it is written down: a
 * value that is multiplied with itself forty times in a row would take a trillion of them.
 */
const mostOperations = 1000;

/** How many operations each expression has. */
const sizes = new WeakMap<ScalarExpression, number>();

function sizeOf(expression: ScalarExpression): number {
  const parts = Object.values(expression).filter((part) => typeof part === "object");
  const size = parts.reduce((sum: number, part) => sum + (sizes.get(part) ?? 0), 1);
  if (size <= mostOperations) return size;
  throw blockError(
    "pointwise",
    `a function must have at most ${mostOperations} operations, those of a value counted wherever it is used`,
    "more",
    "make several blocks of it, and chain them",
  );
}

/** The expression of a traced value or a plain number. */
export function scalarOf(value: unknown): ScalarExpression {
  if (value instanceof Scalar) return value.expression;
  if (typeof value !== "number") {
    throw blockError("pointwise", "an operand must be a traced value or a number", describe(value));
  }
  if (Number.isNaN(value)) throw blockError("pointwise", "a constant must not be NaN", "NaN");
  return Object.freeze({ tag: "constant", value });
}

export function unaryScalar(name: UnaryFunction, operand: ScalarLike): Scalar {
  return new Scalar({ tag: "unary", function: name, operand: scalarOf(operand) });
}

export function binaryScalar(name: BinaryFunction, left: ScalarLike, right: ScalarLike): Scalar {
  return new Scalar({ tag: "binary", function: name, left: scalarOf(left), right: scalarOf(right) });
}

/**
 * `then` where the condition is not zero, `otherwise` elsewhere. Both are computed.
 * @example pointwise("relu", (x) => select(x.less(0), 0, x));
 */
export function select(condition: ScalarLike, then: ScalarLike, otherwise: ScalarLike): Scalar {
  return new Scalar({
    tag: "select",
    condition: scalarOf(condition),
    then: scalarOf(then),
    otherwise: scalarOf(otherwise),
  });
}

/** What a value is, for an error message. */
export function describe(value: unknown): string {
  if (value === undefined) return "nothing; is a return missing?";
  if (typeof value === "function") return "a function";
  return typeof value === "object" && value !== null ? "an object" : String(JSON.stringify(value));
}
