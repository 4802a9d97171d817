/** A general contraction seen as products of matrices: rows of `a` with columns of `b`, for each item of a batch. */
import type { Affine, ContractKernel } from "../../plan/types.ts";
import { constantOf } from "../code.ts";
import { largest, scaled } from "../kernel.ts";

/** Neighbouring loops that step evenly through all operands are one axis. Strides in elements. */
export interface ProductAxis {
  readonly extent: Affine;
  readonly a: number;
  readonly b: number;
  readonly out: number;
}

export interface ContractShape {
  readonly rows: ProductAxis;
  readonly columns: ProductAxis;
  readonly depth: ProductAxis;
  /** Axes that both operands have, or that are left over. */
  readonly batch: readonly ProductAxis[];
  /** Contracted axes beside `depth`. */
  readonly terms: readonly ProductAxis[];
  /** Rows are those of `b`, so that the result's columns lie side by side. */
  readonly isSwapped: boolean;
}

const single: ProductAxis = { extent: { constant: 1, terms: [] }, a: 0, b: 0, out: 0 };

export function contractShape(kernel: ContractKernel, symbolMax: readonly number[]): ContractShape {
  const [ofA, ofB, batch, terms]: ProductAxis[][] = [[], [], [], []] as ProductAxis[][];
  [...kernel.loops, ...kernel.contracted].forEach(({ extent }, index) => {
    const isKept = index < kernel.loops.length;
    const [a, b] = [kernel.a.strides[index]!, kernel.b.strides[index]!];
    const axis = { extent, a, b, out: isKept ? kernel.out.strides[index]! : 0 };
    const list = !isKept ? terms : a !== 0 && b === 0 ? ofA : b !== 0 && a === 0 ? ofB : batch;
    add(list!, axis);
  });
  const rows = takeLongest(ofA!, symbolMax);
  const columns = takeLongest(ofB!, symbolMax);
  const depth = takeLongest(terms!, symbolMax);
  const isSwapped = rows.out === 1 && columns.out !== 1;
  return {
    rows: isSwapped ? columns : rows,
    columns: isSwapped ? rows : columns,
    depth,
    batch: [...batch!, ...ofA!, ...ofB!],
    terms: terms!,
    isSwapped,
  };
}

function add(list: ProductAxis[], axis: ProductAxis): void {
  const extent = constantOf(axis.extent);
  if (extent === 1) return;
  const outer = list.at(-1);
  const isOne =
    outer !== undefined &&
    extent !== undefined &&
    outer.a === axis.a * extent &&
    outer.b === axis.b * extent &&
    outer.out === axis.out * extent;
  if (isOne) list[list.length - 1] = { ...axis, extent: scaled(outer.extent, extent) };
  else list.push(axis);
}

/** Of equal ones the innermost; an axis of one element where there is none. */
function takeLongest(list: ProductAxis[], symbolMax: readonly number[]): ProductAxis {
  let longest = -1;
  let most = 0;
  list.forEach(({ extent }, index) => {
    const size = largest(extent, symbolMax);
    if (size >= most) [longest, most] = [index, size];
  });
  return longest < 0 ? single : list.splice(longest, 1)[0]!;
}
