/** What is in a block, as rows of plain data: the caller prints them and knows the bytes of a dtype. */
import type { Axis } from "../axis.ts";
import { maxSize } from "../axis.ts";
import {
  type AnyBlock,
  asBlock,
  type BlockLike,
  blockEquals,
  childrenOf,
  formatWire,
  joinPath,
  parameterName,
} from "../blocks/internal.ts";

export interface SummaryParameter {
  /** The absolute name; of folded layers with the range in brackets: `model.layers[0..35].mlp.up_proj.weight`. */
  readonly name: string;
  readonly axes: readonly Axis[];
  /** The size of each axis, outermost first. */
  readonly shape: readonly number[];
  /** Whether an earlier row already counts it. */
  readonly shared: boolean;
}

export interface SummaryRow {
  readonly path: string;
  /** The op, or the user's name for it. */
  readonly label: string;
  readonly input: string;
  readonly output: string;
  readonly parameters: readonly SummaryParameter[];
  /** How many layers this row stands for. */
  readonly repeated: number;
  /** Elements of all parameters that no earlier row counts, over all layers. */
  readonly count: number;
}

/**
 * One row per leaf in the order in which they run. Layers of a `repeat` that are equal are folded into one row each,
 * unless `fold` is false.
 * @example for (const row of summary(model)) console.log(row.path, row.label, row.output, row.count);
 */
export function summary(
  block: AnyBlock | BlockLike,
  options: { readonly fold?: boolean } = {},
): readonly SummaryRow[] {
  const rows: SummaryRow[] = [];
  visit(asBlock(block, "summary"), { path: "", repeated: 1, fold: options.fold ?? true }, rows, new Set());
  return rows;
}

interface Place {
  readonly path: string;
  readonly repeated: number;
  readonly fold: boolean;
}

function visit(block: AnyBlock, place: Place, rows: SummaryRow[], counted: Set<string>): void {
  const { expression } = block;
  if (expression.tag === "leaf") {
    const parameters = expression.parameters.map((spec) => {
      const name = parameterName(place.path, spec);
      const shape = spec.axes.map((axis) => maxSize(axis.size));
      const shared = counted.has(name);
      counted.add(name);
      // One absolute name is one parameter, however many layers use it.
      return { name, axes: spec.axes, shape, shared, times: spec.shared === true ? 1 : place.repeated };
    });
    rows.push({
      path: place.path,
      label: expression.label,
      input: formatWire(block.input),
      output: formatWire(block.output),
      parameters: parameters.map(({ times: _, ...parameter }) => parameter),
      repeated: place.repeated,
      count: parameters
        .filter((one) => !one.shared)
        .reduce((total, one) => total + one.times * one.shape.reduce((a, b) => a * b, 1), 0),
    });
    return;
  }
  if (expression.tag === "repeat" && place.fold && expression.blocks.length > 1) {
    const [first, ...rest] = expression.blocks;
    if (rest.every((one) => blockEquals(first!, one))) {
      const count = expression.blocks.length;
      const path = joinPath(place.path, `${expression.prefix}[0..${count - 1}]`);
      visit(first!, { ...place, path, repeated: place.repeated * count }, rows, counted);
      return;
    }
  }
  for (const child of childrenOf(block)) {
    visit(child.block, { ...place, path: joinPath(place.path, child.path) }, rows, counted);
  }
}
