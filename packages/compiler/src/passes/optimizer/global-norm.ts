/** The norm of all gradients taken as one vector. */
import type { GraphBuilder, NodeId } from "@weft/dsl";

/**
 * The sum of squares over all gradients, f32[]. Rows first, then what is left of each gradient, then all of them one
 * behind the other: every sum has a fixed order, on every device and for any number of threads. Vectors come first, so
 * that the kernel which ends the sum reads no gradient that a kernel of an update reads as well.
 */
export function sumOfSquares(builder: GraphBuilder, gradients: readonly NodeId[]): NodeId {
  let total: NodeId | undefined;
  const rank = (id: NodeId) => Math.min(2, builder.type(id).axes.length);
  for (const gradient of gradients.toSorted((a, b) => rank(a) - rank(b))) {
    let sum = builder.add("mul", [gradient, gradient], {});
    const { axes } = builder.type(gradient);
    const last = axes.at(-1);
    if (last !== undefined) sum = builder.add("reduceSum", [sum], { axis: last.name });
    const rest = axes.slice(0, -1).map(({ name }) => name);
    if (rest.length > 1) sum = builder.add("mergeAxes", [sum], { axes: rest, into: rest[0]! });
    if (rest.length > 0) sum = builder.add("reduceSum", [sum], { axis: rest[0]! });
    total = total === undefined ? sum : builder.add("add", [total, sum], {});
  }
  return total ?? builder.constant(0);
}

const largestFloat = 3.4028234663852886e38;

/** Whether a scalar is neither infinite nor NaN, of which every comparison is false. */
export function isFinite(builder: GraphBuilder, scalar: NodeId): NodeId {
  return builder.add("lessEqual", [builder.add("abs", [scalar], {}), builder.constant(largestFloat)], {});
}
