/**
 * The plan: plain data that a runtime executes without the compiler. From the types of this file, of access.ts and of
 * instructions.ts `scripts/generate.ts` writes the C++ header that reads a plan, so keep to interfaces, arrays, strings, numbers, booleans and unions of
 * interfaces told apart by `kind`. Element offsets and strides count elements, sizes in `bytes` count bytes.
 */

import type { Access, Affine, Loop, PlanDtype, Real, Slot } from "./access.ts";
import type { Instruction } from "./instructions.ts";

export type * from "./access.ts";
export type * from "./instructions.ts";

/** Raised whenever a runtime of the old version could misread a new plan. */
export const planVersion = 4;

/** A run-time integer. With `sum`, its value is the sum of these symbols (indices); else the caller of `run` gives it. */
export interface PlanSymbol {
  name: string;
  /** The largest value that memory is planned for. */
  max: number;
  sum: number[];
}

/** `weights` are bound by name at load, `state` lives from run to run, the other classes belong to one program. */
export type BufferClass = "weights" | "state" | "activations" | "input" | "output";

export interface PlanBuffer {
  name: string;
  class: BufferClass;
  dtype: PlanDtype;
  /** Largest sizes, outermost first, C order. */
  shape: number[];
  bytes: number;
  /** Byte offset in the arena of its class, a multiple of 256; 0 for weights, which are mapped one by one. */
  offset: number;
  /**
   * Of a state that grows with a context, such as a KV cache: the axis of `shape` along which positions lie. -1 for every
   * other buffer. Only such states are saved, put back and shifted: weights under training are states as well.
   */
  positions: number;
}

/** Loops over rows; each row runs the body once. Rows are independent and may run in any order or at once. */
export interface RowProgram {
  loops: Loop[];
  /** The innermost axis. */
  row: Loop;
  body: Instruction[];
}

/** Pointwise chains, row reductions (norms, softmax, amax), gathers, moves. */
export interface RowsKernel {
  kind: "rows";
  name: string;
  slots: Slot[];
  program: RowProgram;
}

/**
 * `accumulator[m][n] = sum over k of x[m][k] * weight[n][k]`, f32. The rows x come from the prologue's last
 * instruction's register (its loops are the rows, its row axis is K), rounded and stored as `inputDtype`.
 */
export interface MatmulKernel {
  kind: "matmul";
  name: string;
  slots: Slot[];
  /** The row axes, flattened to M; the leading loops of prologue and epilogues. */
  rows: Loop[];
  contracted: number;
  inputDtype: PlanDtype;
  /**
   * Products with weights in nvfp4 are the same sums whatever the number of rows: units that add up tiles otherwise are not
   * used. So of a training step, whose forward pass then agrees to the bit with decoding.
   */
  orderedSums: boolean;
  prologue: RowProgram;
  groups: MatmulGroup[];
}

/**
 * Columns that share one epilogue. All weights of a group have the same columns and are worked through together
 * (gate and up); groups of one kernel share the input (q, k and v).
 */
export interface MatmulGroup {
  /** Slots of row-major weights [columns][contracted]. */
  weights: number[];
  columns: number;
  /**
   * Loops: the kernel's rows, then loops over columns. Its row times its column loops are the `columns`. When the
   * body neither reduces, slices nor concatenates, a row may be cut into chunks anywhere.
   */
  epilogue: RowProgram;
}

/** Strides in elements of a [position][head][headDim] operand with headDim contiguous. */
export interface HeadsAccess {
  slot: number;
  offset: Affine;
  positionStride: number;
  headStride: number;
}

/**
 * Grouped-query attention with online softmax in f32: `softmax(scale * q k^T + mask) v`. Query i sees key j when not
 * causal, or when j <= past + i. Query head h reads key head floor(h / (heads / kvHeads)).
 */
export interface AttentionKernel {
  kind: "attention";
  name: string;
  slots: Slot[];
  queries: Affine;
  keys: Affine;
  past: Affine;
  heads: number;
  kvHeads: number;
  headDim: number;
  scale: Real;
  causal: boolean;
  query: HeadsAccess;
  key: HeadsAccess;
  value: HeadsAccess;
  output: HeadsAccess;
}

/**
 * Attention of a training step, forward: as AttentionKernel, and beside the result the number from which the backward
 * direction computes the weights again. Query i sees the keys starts[i] <= j <= past + i where it is causal.
 */
export interface AttentionForwardKernel {
  kind: "attentionForward";
  name: string;
  slots: Slot[];
  queries: Affine;
  keys: Affine;
  past: Affine;
  heads: number;
  kvHeads: number;
  headDim: number;
  scale: Real;
  causal: boolean;
  query: HeadsAccess;
  key: HeadsAccess;
  value: HeadsAccess;
  /** None or one, i32: strides of the position; causal only. */
  starts: Access[];
  /** None or one, f32. */
  outputs: HeadsAccess[];
  /** None or one, f32: log(sum(exp(scale * q k^T))), strides of position and head. */
  logSumExps: Access[];
}

/** The cotangents of queries, keys and values of an AttentionForwardKernel, all f32. */
export interface AttentionBackwardKernel {
  kind: "attentionBackward";
  name: string;
  slots: Slot[];
  queries: Affine;
  keys: Affine;
  past: Affine;
  heads: number;
  kvHeads: number;
  headDim: number;
  scale: Real;
  causal: boolean;
  query: HeadsAccess;
  key: HeadsAccess;
  value: HeadsAccess;
  /** None or one, i32: strides of the position; causal only. */
  starts: Access[];
  /** What the forward direction gave, and its cotangent. */
  result: HeadsAccess;
  cotangent: HeadsAccess;
  /** f32: strides of position and head. */
  logSumExp: Access;
  queryGradient: HeadsAccess;
  keyGradient: HeadsAccess;
  valueGradient: HeadsAccess;
}

/**
 * The `count` largest elements of each row, largest first: value and index, both f32. Of equal elements (0 and -0 are
 * equal) the one of the lower index comes first, NaN before all others.
 */
export interface TopKKernel {
  kind: "topK";
  name: string;
  slots: Slot[];
  loops: Loop[];
  /** Elements of a row of the input: `count` to 2^24. */
  length: number;
  /** 1 to 32. */
  count: number;
  input: Access;
  /** The row is `count` pairs, end to end: `rowStride` is 1. */
  output: Access;
}

/**
 * The head of a language model with its loss, a chunk of positions after the other, so that the scores of one chunk are
 * all that exists of them: `scores = x weight^T`, `loss = log(sum(exp(scores))) - the target's score`, and back from
 * there with `slopes = (softmax(scores) - 1 at the target) * cotangent`. A target below 0 masks its position.
 */
export interface LinearCrossEntropyKernel {
  kind: "linearCrossEntropy";
  name: string;
  slots: Slot[];
  positions: Affine;
  /** Positions of a chunk, at most. */
  chunk: number;
  contracted: number;
  classes: number;
  /** Strides of the position; `rowStride` 1. */
  input: Access;
  /** Slot of the row-major weight [classes][contracted]. */
  weight: number;
  /** i32, strides of the position. */
  targets: Access;
  /** Slot of f32 [chunk][classes], of no use to anybody else. */
  scores: number;
  /** None or one, f32, strides of the position. */
  losses: Access[];
  /** None or one, f32, strides of the position; without it nothing goes back. */
  cotangents: Access[];
  /** What the slopes are rounded to before they are multiplied. */
  slopeDtype: PlanDtype;
  /** None or one, f32, like the input: slopes weight. */
  inputGradients: Access[];
  /** None or one, f32: slopes^T input, strides of the class; `rowStride` 1. */
  weightGradients: Access[];
}

/**
 * Rows added up where their indices say: `out[r] = addend[r] + the sum of updates[p] over all positions p whose index is
 * r`, in f32 and in the order of the positions. A row that no index names is that of the addend, or zero.
 */
export interface ScatterAddKernel {
  kind: "scatterAdd";
  name: string;
  slots: Slot[];
  /** The axes of the indices. */
  positions: Loop[];
  /** The other axes of the updates, and of the result behind the one that the indices count along. */
  loops: Loop[];
  row: Loop;
  /** Rows of the result: 0 <= index < bound. */
  bound: Affine;
  /** Strides: positions. */
  indices: Access;
  /** Strides: positions, then loops. */
  updates: Access;
  /** Strides: the axis of the result, then loops. Nothing lies between the elements: `rowStride` is 1. */
  out: Access;
  /** None or one, f32, with the strides of `out`. It may be the very memory of `out`. */
  addends: Access[];
}

/** A general contraction by strides: the route of unfused plans. out[loops] = sum over contracted of a * b. */
export interface ContractKernel {
  kind: "contract";
  name: string;
  slots: Slot[];
  loops: Loop[];
  contracted: Loop[];
  /** Strides of `a` and `b`: loops first, then contracted; `rowStride` is unused and 0. */
  a: Access;
  b: Access;
  /** Strides: loops only. */
  out: Access;
}

export type Kernel =
  | RowsKernel
  | MatmulKernel
  | AttentionKernel
  | AttentionForwardKernel
  | AttentionBackwardKernel
  | TopKKernel
  | LinearCrossEntropyKernel
  | ScatterAddKernel
  | ContractKernel;

/** One kernel on certain buffers. */
export interface PlanStep {
  /** Index into `Plan.kernels`. */
  kernel: number;
  /** One buffer (index into `Plan.buffers`) per slot of the kernel. */
  bindings: number[];
  /** Paths of the blocks that this step came from. */
  origins: string[];
}

export interface PlanPort {
  name: string;
  buffer: number;
  /** Sizes at run time, outermost first. */
  shape: Affine[];
}

/** One way to run: `prefill`, `decode`. Programs share weights, state, kernels and the activations arena. */
export interface PlanProgram {
  name: string;
  inputs: PlanPort[];
  outputs: PlanPort[];
  steps: PlanStep[];
}

/** Arena sizes in bytes. Weights count once; the activations arena is the largest that any program needs. */
export interface PlanMemory {
  weights: number;
  state: number;
  activations: number;
  input: number;
  output: number;
}

export interface Plan {
  version: number;
  name: string;
  target: string;
  /** SHA-256 over the rest, in hexadecimal. */
  hash: string;
  symbols: PlanSymbol[];
  buffers: PlanBuffer[];
  kernels: Kernel[];
  programs: PlanProgram[];
  memory: PlanMemory;
}
