/** The instructions of row programs. */
import type { Access, Affine, PlanDtype, Real } from "./access.ts";

/**
 * One instruction of a row program, in single-assignment form: instruction i writes register i. A register holds
 * `length` f32 values (1: a scalar, which broadcasts). Integers are exact up to 2^24.
 */
export type Instruction =
  | LoadInstruction
  | GatherInstruction
  | ConstantInstruction
  | IndexInstruction
  | AccumulatorInstruction
  | UnaryInstruction
  | BinaryInstruction
  | SelectInstruction
  | RoundInstruction
  | StochasticRoundInstruction
  | QuantizeNvfp4Instruction
  | ReduceInstruction
  | SliceInstruction
  | ConcatInstruction
  | StoreInstruction;

export interface LoadInstruction {
  kind: "load";
  access: Access;
  length: Affine;
}
/** Loads the row that register `index` (a scalar) names: `access` plus `index * indexStride`, 0 <= index < bound. */
export interface GatherInstruction {
  kind: "gather";
  access: Access;
  index: number;
  indexStride: number;
  bound: number;
  length: Affine;
}
export interface ConstantInstruction {
  kind: "constant";
  /** A number, or one of the words for values that JSON cannot hold. */
  value: Real;
  /** "" for a finite value, else "inf", "-inf" or "nan". */
  special: "" | "inf" | "-inf" | "nan";
}
/** The index of a loop (`loop` >= 0: a scalar) or of the row's column (`loop` = -1: a vector), plus `offset`. */
export interface IndexInstruction {
  kind: "index";
  loop: number;
  offset: Affine;
  length: Affine;
}
/** In an epilogue: the finished products of the group's weight `weight` for this row of columns. */
export interface AccumulatorInstruction {
  kind: "accumulator";
  weight: number;
  length: Affine;
}
export type UnaryName =
  | "neg"
  | "abs"
  | "exp"
  | "log"
  | "sqrt"
  | "rsqrt"
  | "reciprocal"
  | "sin"
  | "cos"
  | "tanh"
  | "sigmoid"
  | "floor";
export interface UnaryInstruction {
  kind: "unary";
  function: UnaryName;
  operand: number;
}
export type BinaryName =
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "max"
  | "min"
  | "pow"
  | "less"
  | "lessEqual"
  | "equal";
/** Operands of equal length, or one of them a scalar. */
export interface BinaryInstruction {
  kind: "binary";
  function: BinaryName;
  left: number;
  right: number;
}
export interface SelectInstruction {
  kind: "select";
  condition: number;
  then: number;
  otherwise: number;
}
/** Rounds to the values of a narrower type, nearest even; registers stay f32. `i32` truncates toward zero, saturates, and makes NaN 0. */
export interface RoundInstruction {
  kind: "round";
  dtype: PlanDtype;
  operand: number;
}
/**
 * Rounds to bf16 up or down by 16 random bits (op `stochasticRound`); key and stream are scalars. The bits belong to the
 * element's place in its tensor: `sum(strides[i] * index[i]) + rowStride * column`.
 */
export interface StochasticRoundInstruction {
  kind: "stochasticRound";
  operand: number;
  keyLow: number;
  keyHigh: number;
  stream: number;
  /** One stride per loop, outermost first. */
  strides: number[];
  rowStride: number;
}
/**
 * Blocks of 16 along the row in NVFP4 (op `quantizeNvfp4`); the register holds code times scale. Rows are whole blocks. A
 * store into a slot of nvfp4 names such an instruction and writes its codes and scales.
 */
export interface QuantizeNvfp4Instruction {
  kind: "quantizeNvfp4";
  operand: number;
  /** A scalar. */
  encodeScale: number;
  fourOverSix: boolean;
  nonZero: boolean;
  /** None, or scalars for rounding by chance: keyLow, keyHigh and stream. The bits belong to the element's place. */
  random: number[];
  /** One stride per loop, outermost first. */
  strides: number[];
  rowStride: number;
}
/** A row to a scalar. Sums accumulate in f32 over several partial sums in a fixed order. */
export interface ReduceInstruction {
  kind: "reduce";
  function: "sum" | "max";
  operand: number;
}
/** Columns [start, start + length) of a row. */
export interface SliceInstruction {
  kind: "slice";
  operand: number;
  start: number;
  length: number;
}
/** Rows end to end. */
export interface ConcatInstruction {
  kind: "concat";
  operands: number[];
}
/** Writes a register; a scalar with `length` > 1 is repeated. Produces no register value of its own (length 0). */
export interface StoreInstruction {
  kind: "store";
  access: Access;
  operand: number;
  length: Affine;
}
