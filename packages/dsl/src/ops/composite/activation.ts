/** Functions at every place: the built-in gate, and the user's own. */
import type { Axis } from "../../axis.ts";
import type { GraphBuilder } from "../../graph/builder.ts";
import type { NodeId, TensorType } from "../../graph/types.ts";
import type { OpDefinition } from "../define.ts";
import type { ScalarExpression } from "../scalar.ts";
import { broadcastAxes, isFloat } from "../shape.ts";
import { byDefinition } from "../vjp/common.ts";
import { siluVjp } from "../vjp/composite.ts";
import { floats, inF32, like } from "./common.ts";

const silu: OpDefinition<"silu"> = {
  name: "silu",
  category: "composite",
  documentation: {
    summary: "x * sigmoid(x)",
    inputs: ["x: float[...]"],
    result: "f32, like x",
    source: "Elfwing et al. 2017, Sigmoid-Weighted Linear Units",
  },
  arity: { min: 1, max: 1 },
  infer: ([x]) => (isFloat(x!.dtype) ? like(x!) : "takes a float tensor"),
  meaning: {
    tag: "definition",
    define: (builder, [input]) => {
      const x = inF32(builder, input!);
      return builder.add("mul", [x, builder.add("sigmoid", [x], {})], {});
    },
  },
  vjp: siluVjp,
  cost: { perResult: 11, perInput: 0 },
  fusion: "map",
};

const pointwise: OpDefinition<"pointwise"> = {
  name: "pointwise",
  category: "composite",
  documentation: {
    summary: "a function of the user's own, applied at every place",
    inputs: ["one or more: float[...]"],
    result: "f32, over the axes by name of the inputs that the function uses",
  },
  arity: { min: 1, max: 16 },
  infer: (inputs, { expression }) => {
    if (!inputs.every((one) => isFloat(one.dtype))) return floats;
    const axes = expressionAxes(inputs, expression);
    return typeof axes === "string" ? axes : { dtype: "f32", axes };
  },
  meaning: {
    tag: "definition",
    define: (builder, inputs, { expression }) =>
      addNumber(
        builder,
        inputs.map((input) => inF32(builder, input)),
        expression,
      ),
  },
  vjp: byDefinition,
  cost: { perResult: 4, perInput: 0 },
  fusion: "map",
};

/** The axes that an expression's definition comes to have: those of the arguments it uses, joined in its own order. */
function expressionAxes(
  inputs: readonly TensorType[],
  expression: ScalarExpression,
): readonly Axis[] | string {
  const join = (...parts: readonly ScalarExpression[]): readonly Axis[] | string => {
    const types: TensorType[] = [];
    for (const part of parts) {
      const axes = expressionAxes(inputs, part);
      if (typeof axes === "string") return axes;
      types.push({ dtype: "f32", axes });
    }
    return broadcastAxes(types);
  };
  switch (expression.tag) {
    case "argument":
      return (
        inputs[expression.index]?.axes ??
        `the function asks for argument ${expression.index + 1} of ${inputs.length}`
      );
    case "constant":
      return [];
    case "unary":
      return join(expression.operand);
    case "binary":
      return join(expression.left, expression.right);
    case "select":
      return join(expression.condition, expression.then, expression.otherwise);
    default:
      return expression satisfies never;
  }
}

/** An expression as an f32 node; a comparison gives 1 or 0. */
function addNumber(builder: GraphBuilder, inputs: readonly NodeId[], expression: ScalarExpression): NodeId {
  return inF32(builder, addExpression(builder, inputs, expression));
}

function addExpression(
  builder: GraphBuilder,
  inputs: readonly NodeId[],
  expression: ScalarExpression,
): NodeId {
  const number = (inner: ScalarExpression) => addNumber(builder, inputs, inner);
  switch (expression.tag) {
    case "argument":
      return inputs[expression.index]!;
    case "constant":
      return builder.constant(expression.value);
    case "unary":
      return builder.add(expression.function, [number(expression.operand)], {});
    case "binary":
      return builder.add(expression.function, [number(expression.left), number(expression.right)], {});
    case "select": {
      const given = addExpression(builder, inputs, expression.condition);
      const condition =
        builder.type(given).dtype === "bool" ? given : builder.add("cast", [given], { dtype: "bool" });
      return builder.add("select", [condition, number(expression.then), number(expression.otherwise)], {});
    }
    default:
      return expression satisfies never;
  }
}

export const activationOps = { silu, pointwise };
