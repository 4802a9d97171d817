/**
 * A plan made ready for CUDA: source text of its kernels, and for each step of each program the launches that execute
 * it. Plain data beside the plan, which stays as it is; `scripts/generate.ts` writes the C++ structs and their reader
 * from these types, so keep to interfaces, arrays, strings, numbers and booleans.
 */
import type { Affine, PlanDtype } from "../plan/types.ts";

/** Raised whenever a runtime of the old version could misread a new one. */
export const cudaVersion = 5;

/** One compilation unit: the prelude and some kernels, self-contained for NVRTC. */
export interface CudaModule {
  name: string;
  source: string;
}

/** A `__global__` function of a module. Its only parameter is `Args<slots>` of types.cuh. */
export interface CudaFunction {
  name: string;
  /** Index into `CudaPlan.modules`. */
  module: number;
  /** Threads of a block: a multiple of 32. */
  threads: number;
  /** Dynamic shared memory of a block, in bytes. */
  sharedBytes: number;
  slots: number;
}

/** `ceil(extent / tile)` blocks along one loop. */
export interface CudaExtent {
  extent: Affine;
  tile: number;
}

export interface CudaLaunch {
  /** Index into `CudaPlan.functions`. */
  function: number;
  /** Index into the plan program's steps: what this launch belongs to. */
  step: number;
  /** Which part of the step's work: what tells several launches of one function apart. */
  piece: number;
  /** One buffer (index into `Plan.buffers`) per slot of the function. */
  bindings: number[];
  /** Virtual blocks: the product. A launch of zero blocks is left out. */
  blocks: CudaExtent[];
  /**
   * 0: a block for each virtual one. Else the work is shared out over so many blocks per multiprocessor, whatever
   * `blocks` says.
   */
  perMultiprocessor: number;
}

/** A matrix in memory: rows of contiguous elements, `stride` elements from one to the next. */
export interface CudaMatrix {
  /** Index into `Plan.buffers`; -1 is scratch. */
  buffer: number;
  dtype: PlanDtype;
  /** Its first element, counted in elements. */
  offset: number;
  stride: number;
}

/** Where the block scales of a product's operands begin in scratch, in bytes; their order is swizzled-scales.ts. */
export interface CudaBlockScales {
  x: number;
  weight: number;
}

/**
 * `out[rows][columns] = x[rows][contracted] * weight[columns][contracted]^T + addend`, accumulated in f32. A transposed
 * matrix lies in memory as `[contracted][rows]` (`[contracted][columns]`).
 */
export interface CudaProduct {
  columns: number;
  contracted: Affine;
  x: CudaMatrix;
  isXTransposed: boolean;
  weight: CudaMatrix;
  isWeightTransposed: boolean;
  out: CudaMatrix;
  /** None or one, of `out`'s dtype; it may lie where `out` does. */
  addends: CudaMatrix[];
  /**
   * None: both operands are of bf16. One: both are of nvfp4 and lie in scratch, in rows of two codes to a byte, for units
   * that multiply FP4; `contracted` is then a constant multiple of 32, and nothing else may compute the product.
   */
  scales: CudaBlockScales[];
}

/**
 * Another way to execute a step, with products of NVIDIA's library: `before`, the products, `after`. Which way is taken
 * is decided at load and by the number of rows, so a step has its launches all the same.
 */
export interface CudaLibraryStep {
  /** Index into the plan program's steps. */
  step: number;
  /** Rows of every product: the product of these. */
  rows: Affine[];
  /** Fewer rows than this are the launches' work. */
  leastRows: number;
  before: CudaLaunch[];
  products: CudaProduct[];
  after: CudaLaunch[];
}

export interface CudaProgram {
  name: string;
  launches: CudaLaunch[];
  /** In the order of the steps. */
  librarySteps: CudaLibraryStep[];
}

export interface CudaPlan {
  version: number;
  /** Hash of the plan that this belongs to. */
  plan: string;
  modules: CudaModule[];
  functions: CudaFunction[];
  programs: CudaProgram[];
  /** Bytes of scratch that the hungriest launch needs; launches run one after the other and share it. */
  scratchBytes: number;
  /** The same for the hungriest step of `librarySteps`. */
  libraryScratchBytes: number;
  /** Counters that the hungriest launch needs. */
  tickets: number;
}
