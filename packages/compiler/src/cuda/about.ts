/** What the comment above a kernel says: what it serves, over which axes, on which buffers, and why it is one kernel. */
import type { Kernel, Loop, Plan, RowProgram } from "../plan/types.ts";
import { formatAffine } from "../print/kernel.ts";

/** `origins`: paths of the blocks that the kernel serves. */
export function aboutKernel(plan: Plan, kernel: Kernel, origins: readonly string[]): string[] {
  const slots = kernel.slots.map((slot, index) => `b${index} ${slot.access} ${slot.dtype}`).join(", ");
  return [
    kernel.name,
    ...(origins.length === 0 ? [] : [`of ${origins.join(", ")}`]),
    `axes: ${axesOf(plan, kernel)}`,
    ...whyFused(kernel),
    slots,
  ];
}

function axesOf(plan: Plan, kernel: Kernel): string {
  const loops = (all: readonly Loop[]) => all.map((one) => loopText(plan, one)).join(" x ");
  const rows = (all: readonly Loop[]) => (all.length === 0 ? "one row" : `rows ${loops(all)}`);
  switch (kernel.kind) {
    case "rows":
      return `${rows(kernel.program.loops)}, along ${loopText(plan, kernel.program.row)}`;
    case "matmul": {
      const columns = kernel.groups.map(({ epilogue, weights }) => {
        const own = loops([...epilogue.loops.slice(kernel.rows.length), epilogue.row]);
        return weights.length === 1 ? own : `${weights.length} of ${own}`;
      });
      const contracted = loopText(plan, kernel.prologue.row);
      return `${rows(kernel.rows)}, columns ${columns.join(" and ")}, contracted ${contracted}`;
    }
    case "attention":
    case "attentionForward":
    case "attentionBackward":
      return `queries ${formatAffine(plan, kernel.queries)}, keys ${formatAffine(plan, kernel.keys)}`;
    case "topK":
      return `${rows(kernel.loops)}, ${kernel.count} of ${kernel.length}`;
    case "linearCrossEntropy":
      return `positions ${formatAffine(plan, kernel.positions)}, ${kernel.classes} classes, contracted ${kernel.contracted}`;
    case "scatterAdd": {
      const axis = formatAffine(plan, kernel.bound);
      return `${axis} sums of ${loops([...kernel.loops, kernel.row])}, ${rows(kernel.positions)}`;
    }
    case "contract":
      return `${rows(kernel.loops)}, contracted ${loops(kernel.contracted)}`;
    default:
      return kernel satisfies never;
  }
}

/** Empty for a kernel of one operation. */
function whyFused(kernel: Kernel): string[] {
  switch (kernel.kind) {
    case "rows":
      return operations(kernel.program) < 2
        ? []
        : ["one kernel: its operations go over the same rows, and nothing between them is stored"];
    case "matmul": {
      const reasons = [
        ...(operations(kernel.prologue) > 0 ? ["the rows are computed where the products read them"] : []),
        ...(kernel.groups.flatMap(({ weights }) => weights).length > 1
          ? ["the products read the same rows"]
          : []),
        ...(kernel.groups.some(({ epilogue }) => operations(epilogue) > 0)
          ? ["what follows is done to the sums while they are at hand"]
          : []),
      ];
      return reasons.length === 0 ? [] : [`one kernel: ${reasons.join("; ")}`];
    }
    case "attention":
    case "attentionForward":
      return ["one kernel: scores are weighed as they come, and never stored"];
    case "attentionBackward":
      return ["one kernel: scores are computed again where they are weighed, and never stored"];
    case "linearCrossEntropy":
      return ["one kernel: the scores of a chunk of positions are all that exists of them"];
    case "scatterAdd":
      return kernel.addends.length === 0 ? [] : ["one kernel: the rows are added onto what lies there"];
    case "topK":
    case "contract":
      return [];
    default:
      return kernel satisfies never;
  }
}

/** Instructions that compute. */
const operations = ({ body }: RowProgram): number =>
  body.filter(({ kind }) => kind === "unary" || kind === "binary" || kind === "select" || kind === "reduce")
    .length;

const loopText = (plan: Plan, { axis, extent }: Loop): string => `${axis} ${formatAffine(plan, extent)}`;
