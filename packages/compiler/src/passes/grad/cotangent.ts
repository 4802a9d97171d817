/** Brings what a rule gives to the shape that an input's cotangent has: f32, with the input's axes in order. */
import {
  axisEquals,
  findAxis,
  formatType,
  type GraphBuilder,
  internalProblem,
  type NodeId,
  WeftError,
} from "@weft/dsl";

/**
 * - An axis that the input lacks is summed: the op broadcast the input along it.
 * - An axis that only the input has: the cotangent is the same all along it, and is repeated.
 * - Axes in another order are put in the input's.
 * @throws WeftError (internal) when the rule gave no f32, or an axis of another size.
 */
export function fitCotangent(builder: GraphBuilder, cotangent: NodeId, input: NodeId): NodeId {
  const { axes } = builder.type(input);
  const given = builder.type(cotangent);
  const strange = given.axes.find((one) => {
    const own = findAxis({ dtype: "f32", axes }, one.name);
    return own !== undefined && !axisEquals(own, one);
  });
  if (given.dtype !== "f32" || strange !== undefined) {
    throw new WeftError([
      internalProblem("grad", `a cotangent must fit ${formatType({ dtype: "f32", axes })}`, {
        given: formatType(given),
        path: builder.origin.path,
      }),
    ]);
  }
  let fitting = cotangent;
  for (const { name } of given.axes) {
    if (axes.some((one) => one.name === name)) continue;
    fitting = builder.add("reduceSum", [fitting], { axis: name });
  }
  const left = builder.type(fitting).axes;
  const inOrder = left.length === axes.length && left.every((one, index) => one.name === axes[index]!.name);
  return inOrder ? fitting : builder.add("broadcast", [fitting], { axes });
}
