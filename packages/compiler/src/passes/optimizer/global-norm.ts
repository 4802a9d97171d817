/** The norm of all gradients taken as one vector. */
import type { GraphBuilder, NodeId } from "@weft/dsl";

/**
 * The sum of squares over all gradients, f32[]. Rows first, then what is left of each gradient, then all of them one
 * behind the other: every sum has a fixed order, on every device and for any number of threads.
 *
 * What is summed last goes by an axis name of its own, whatever gradient it is of: so these sums of many gradients meet
 * in one kernel, and none of them meets the update of its parameter, which waits for all.
 */
export function sumOfSquares(builder: GraphBuilder, gradients: readonly NodeId[]): NodeId {
  let total: NodeId | undefined;
  for (const gradient of gradients) {
    const { axes } = builder.type(gradient);
    const names = axes.map(({ name }) => name);
    let sum = builder.add("mul", [gradient, gradient], {});
    if (names.length > 1) {
      sum = builder.add("reduceSum", [sum], { axis: names.pop()! });
      if (names.length > 1) sum = builder.add("mergeAxes", [sum], { axes: names, into: names[0]! });
      sum = builder.add("rename", [sum], { from: names[0]!, to: lastAxis });
    } else if (names.length === 1) {
      const renamed = builder.add("rename", [gradient], { from: names[0]!, to: lastAxis });
      sum = builder.add("mul", [renamed, renamed], {});
    }
    if (names.length > 0) sum = builder.add("reduceSum", [sum], { axis: lastAxis });
    total = total === undefined ? sum : builder.add("add", [total, sum], {});
  }
  return total ?? builder.constant(0);
}

const lastAxis = "element";
const largestFloat = 3.4028234663852886e38;

/** Whether a scalar is neither infinite nor NaN, of which every comparison is false. */
export function finite(builder: GraphBuilder, scalar: NodeId): NodeId {
  return builder.add("lessEqual", [builder.add("abs", [scalar], {}), builder.constant(largestFloat)], {});
}
