/** Positions as rotations. */
import { maxSize } from "../../axis.ts";
import type { GraphBuilder } from "../../graph/builder.ts";
import type { NodeId } from "../../graph/types.ts";
import type { OpDefinition } from "../define.ts";
import { broadcastAxes, findAxis, isFloat, missingAxis } from "../shape.ts";
import { ropeVjp } from "../vjp/composite.ts";
import { inF32, like } from "./common.ts";

const rope: OpDefinition<"rope"> = {
  name: "rope",
  category: "composite",
  documentation: {
    summary:
      "rotates element i of the first half with element i of the second half by position * theta^(-2i/size)",
    inputs: ["x: float[..., axis]", "position: i32[sequence]"],
    result: "f32, like x",
    source: "Su et al. 2021, RoFormer; half-split pairing as in GPT-NeoX",
  },
  arity: { min: 2, max: 2 },
  infer: ([x, position], { axis, theta }) => {
    const found = findAxis(x!, axis);
    if (found === undefined) return missingAxis(x!, axis);
    if (typeof found.size !== "number" || found.size % 2 !== 0) return `the size of "${axis}" must be even`;
    if (!(theta > 0)) return `theta must be above 0; given ${theta}`;
    if (!isFloat(x!.dtype)) return "x must be a float tensor";
    if (position!.dtype !== "i32") return "the position must be i32";
    for (const { name } of position!.axes) {
      if (name === axis) return `the position must not have the axis "${axis}" that is rotated`;
      if (findAxis(x!, name) === undefined) return missingAxis(x!, name);
    }
    const axes = broadcastAxes([x!, position!]);
    return typeof axes === "string" ? axes : like(x!);
  },
  meaning: {
    tag: "definition",
    define: (builder, [input, position], { axis, theta }) => {
      const x = inF32(builder, input!);
      const size = maxSize(findAxis(builder.type(x), axis)!.size);
      const half = { name: axis, size: size / 2 };
      const { cosine, sine } = rotation(builder, position!, half, theta);
      const low = builder.add("slice", [x], { axis, start: 0, size: half.size });
      const high = builder.add("slice", [x], { axis, start: half.size, size: half.size });
      const times = (a: NodeId, b: NodeId) => builder.add("mul", [a, b], {});
      const first = builder.add("sub", [times(low, cosine), times(high, sine)], {});
      const second = builder.add("add", [times(high, cosine), times(low, sine)], {});
      return builder.add("concat", [first, second], { axis });
    },
  },
  vjp: ropeVjp,
  cost: { perResult: 3, perInput: 0 },
  fusion: "map",
};

/** Cosines and sines of the angles [sequence, half]; equal for every layer, so the builder shares them. */
function rotation(
  builder: GraphBuilder,
  position: NodeId,
  half: { name: string; size: number },
  theta: number,
) {
  const index = builder.add("cast", [builder.add("iota", [], { axis: half })], { dtype: "f32" });
  const exponent = builder.add("mul", [index, builder.constant(1 / half.size)], {});
  const wavelength = builder.add("pow", [builder.constant(theta), exponent], {});
  const frequency = builder.add("reciprocal", [wavelength], {});
  const angle = builder.add("mul", [builder.add("cast", [position], { dtype: "f32" }), frequency], {});
  return { cosine: builder.add("cos", [angle], {}), sine: builder.add("sin", [angle], {}) };
}

export const ropeOps = { rope };
