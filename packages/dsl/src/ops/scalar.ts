/**
 * Scalar expressions: the body of a pointwise function as data. The DSL traces user functions into them, the fuser
 * composes them, and every device evaluates them.
 */
export const unaryFunctions = [
  "neg",
  "abs",
  "exp",
  "log",
  "sqrt",
  "rsqrt",
  "reciprocal",
  "sin",
  "cos",
  "tanh",
  "sigmoid",
  "floor",
] as const;
export type UnaryFunction = (typeof unaryFunctions)[number];

export const binaryFunctions = [
  "add",
  "sub",
  "mul",
  "div",
  "max",
  "min",
  "pow",
  "less",
  "lessEqual",
  "equal",
] as const;
export type BinaryFunction = (typeof binaryFunctions)[number];

export function isUnaryFunction(op: string): op is UnaryFunction {
  return (unaryFunctions as readonly string[]).includes(op);
}

export function isBinaryFunction(op: string): op is BinaryFunction {
  return (binaryFunctions as readonly string[]).includes(op);
}

export type ScalarExpression =
  | { readonly tag: "argument"; readonly index: number }
  | { readonly tag: "constant"; readonly value: number }
  | { readonly tag: "unary"; readonly function: UnaryFunction; readonly operand: ScalarExpression }
  | {
      readonly tag: "binary";
      readonly function: BinaryFunction;
      readonly left: ScalarExpression;
      readonly right: ScalarExpression;
    }
  | {
      readonly tag: "select";
      readonly condition: ScalarExpression;
      readonly then: ScalarExpression;
      readonly otherwise: ScalarExpression;
    };

export function evaluateUnary(name: UnaryFunction, x: number): number {
  switch (name) {
    case "neg":
      return -x;
    case "abs":
      return Math.abs(x);
    case "exp":
      return Math.exp(x);
    case "log":
      return Math.log(x);
    case "sqrt":
      return Math.sqrt(x);
    case "rsqrt":
      return 1 / Math.sqrt(x);
    case "reciprocal":
      return 1 / x;
    case "sin":
      return Math.sin(x);
    case "cos":
      return Math.cos(x);
    case "tanh":
      return Math.tanh(x);
    case "sigmoid":
      return 1 / (1 + Math.exp(-x));
    case "floor":
      return Math.floor(x);
    default:
      return name satisfies never;
  }
}

/** Comparisons give 1 for true and 0 for false. */
export function evaluateBinary(name: BinaryFunction, a: number, b: number): number {
  switch (name) {
    case "add":
      return a + b;
    case "sub":
      return a - b;
    case "mul":
      return a * b;
    case "div":
      return a / b;
    case "max":
      return Math.max(a, b);
    case "min":
      return Math.min(a, b);
    case "pow":
      return a ** b;
    case "less":
      return a < b ? 1 : 0;
    case "lessEqual":
      return a <= b ? 1 : 0;
    case "equal":
      return a === b ? 1 : 0;
    default:
      return name satisfies never;
  }
}

export function isComparison(name: BinaryFunction): boolean {
  return name === "less" || name === "lessEqual" || name === "equal";
}
