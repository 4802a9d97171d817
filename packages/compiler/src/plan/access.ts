/** Numbers, dtypes and places in memory: what kernels of a plan and their instructions are written with. */

/** A finite number with a fraction. Every plain `number` of a plan is an integer, and read as one. */
export type Real = number;

/** `f8e4m3` holds weights only, `nvfp4` lies in tiles: docs/numerics.md. */
export type PlanDtype = "f32" | "bf16" | "f16" | "f8e4m3" | "nvfp4" | "i32" | "i8";

/** `constant + sum of factor x symbol`. */
export interface Affine {
  constant: number;
  terms: AffineTerm[];
}

export interface AffineTerm {
  /** Index into `Plan.symbols`. */
  symbol: number;
  factor: number;
}

export interface Slot {
  name: string;
  dtype: PlanDtype;
  access: "read" | "write" | "update";
  /** Of nvfp4, whose layout depends on it: elements of a row, the last size of the buffer. Else 0. */
  rowLength: number;
}

/** One axis of a loop nest. */
export interface Loop {
  axis: string;
  extent: Affine;
}

/** Where one value per loop index lies in a slot: `offset + sum(strides[i] * index[i]) + rowStride * column`. */
export interface Access {
  slot: number;
  offset: Affine;
  /** One stride per loop, outermost first; 0 broadcasts. */
  strides: number[];
  /** Stride along the row; 0 broadcasts one value, 1 is contiguous. */
  rowStride: number;
}
