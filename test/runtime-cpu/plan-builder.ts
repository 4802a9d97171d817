/** Small plans by hand: buffers get their offsets one after the other, nothing is shared. */
import {
  type Access,
  type Affine,
  type BinaryName,
  type BufferClass,
  type Instruction,
  type Kernel,
  type Loop,
  type Plan,
  type PlanBuffer,
  type PlanDtype,
  type PlanPort,
  type PlanStep,
  planVersion,
  type RowProgram,
  type Slot,
  type UnaryName,
} from "@weft/compiler";

type Size = number | Affine;

export const affine = (value: Size): Affine =>
  typeof value === "number" ? { constant: value, terms: [] } : value;
/** `factor * symbol + constant` */
export const times = (symbol: number, factor = 1, constant = 0): Affine => ({
  constant,
  terms: [{ symbol, factor }],
});
export const loop = (axis: string, extent: Size): Loop => ({ axis, extent: affine(extent) });
export const slot = (name: string, dtype: PlanDtype, access: Slot["access"], rowLength = 0): Slot => ({
  name,
  dtype,
  access,
  rowLength,
});
export const access = (slot: number, strides: number[], rowStride = 1, offset: Size = 0): Access => ({
  slot,
  offset: affine(offset),
  strides,
  rowStride,
});

/** A body written as calls; each returns the index of its register. */
export class Body {
  readonly instructions: Instruction[] = [];
  #add(instruction: Instruction): number {
    return this.instructions.push(instruction) - 1;
  }
  load(from: Access, length: Size): number {
    return this.#add({ kind: "load", access: from, length: affine(length) });
  }
  gather(from: Access, index: number, indexStride: number, bound: number, length: Size): number {
    return this.#add({ kind: "gather", access: from, index, indexStride, bound, length: affine(length) });
  }
  constant(value: number): number {
    return this.#add({ kind: "constant", value, special: "" });
  }
  special(special: "inf" | "-inf" | "nan"): number {
    return this.#add({ kind: "constant", value: 0, special });
  }
  index(loopIndex: number, length: Size = 1, offset: Size = 0): number {
    return this.#add({ kind: "index", loop: loopIndex, offset: affine(offset), length: affine(length) });
  }
  accumulator(weight: number, length: number): number {
    return this.#add({ kind: "accumulator", weight, length: affine(length) });
  }
  unary(name: UnaryName, operand: number): number {
    return this.#add({ kind: "unary", function: name, operand });
  }
  binary(name: BinaryName, left: number, right: number): number {
    return this.#add({ kind: "binary", function: name, left, right });
  }
  select(condition: number, then: number, otherwise: number): number {
    return this.#add({ kind: "select", condition, then, otherwise });
  }
  round(dtype: PlanDtype, operand: number): number {
    return this.#add({ kind: "round", dtype, operand });
  }
  stochasticRound(
    operand: number,
    [keyLow, keyHigh, stream]: readonly [number, number, number],
    strides: number[],
    rowStride = 1,
  ): number {
    return this.#add({ kind: "stochasticRound", operand, keyLow, keyHigh, stream, strides, rowStride });
  }
  /** Its elements' places are those of a matrix of the loops' rows. */
  quantizeNvfp4(
    operand: number,
    encodeScale: number,
    strides: number[],
    { fourOverSix = false, nonZero = false, random = [] as number[] } = {},
  ): number {
    const options = { fourOverSix, nonZero, random, strides, rowStride: 1 };
    return this.#add({ kind: "quantizeNvfp4", operand, encodeScale, ...options });
  }
  reduce(name: "sum" | "max", operand: number): number {
    return this.#add({ kind: "reduce", function: name, operand });
  }
  slice(operand: number, start: number, length: number): number {
    return this.#add({ kind: "slice", operand, start, length });
  }
  concat(...operands: number[]): number {
    return this.#add({ kind: "concat", operands });
  }
  store(to: Access, operand: number, length: Size): number {
    return this.#add({ kind: "store", access: to, operand, length: affine(length) });
  }
  /** x * rsqrt(mean(x^2) + epsilon) */
  rmsNorm(x: number, size: number, epsilon = 1e-6): number {
    const mean = this.binary("div", this.reduce("sum", this.binary("mul", x, x)), this.constant(size));
    return this.binary("mul", x, this.unary("rsqrt", this.binary("add", mean, this.constant(epsilon))));
  }
  program(loops: Loop[], row: Loop): RowProgram {
    return { loops, row, body: this.instructions };
  }
}

/** Rows of nvfp4 lie in groups of 16. */
function paddedRows(shape: readonly number[]): readonly number[] {
  const rows = shape.slice(0, -1).reduce((product, size) => product * size, 1);
  return [Math.ceil(rows / 16) * 16, shape.at(-1)!];
}

const width = { f32: 4, bf16: 2, f16: 2, f8e4m3: 1, nvfp4: 9 / 16, i32: 4, i8: 1 };

export class PlanBuilder {
  readonly plan: Plan;
  constructor(name = "test") {
    this.plan = {
      version: planVersion,
      name,
      target: "cpu",
      hash: "",
      symbols: [],
      buffers: [],
      kernels: [],
      programs: [],
      memory: { weights: 0, state: 0, activations: 0, input: 0, output: 0 },
    };
  }
  symbol(name: string, max: number, sum: number[] = []): number {
    return this.plan.symbols.push({ name, max, sum }) - 1;
  }
  /** @param positions of a state: the axis along which positions lie */
  buffer(name: string, kind: BufferClass, dtype: PlanDtype, shape: number[], positions = -1): number {
    const padded = dtype === "nvfp4" ? paddedRows(shape) : shape;
    const bytes = padded.reduce((product, size) => product * size, width[dtype]);
    const offset = kind === "weights" ? 0 : this.plan.memory[kind];
    this.plan.memory[kind] += kind === "weights" ? bytes : Math.ceil(bytes / 256) * 256;
    const buffer: PlanBuffer = { name, class: kind, dtype, shape, bytes, offset, positions };
    return this.plan.buffers.push(buffer) - 1;
  }
  kernel(kernel: Kernel): number {
    return this.plan.kernels.push(kernel) - 1;
  }
  step(kernel: number, ...bindings: number[]): PlanStep {
    return { kernel, bindings, origins: [`block.${kernel}`] };
  }
  /** A port of each input and output buffer, of its full shape unless `shapes` gives another. */
  program(name: string, steps: PlanStep[], shapes: Record<string, Size[]> = {}): void {
    const ports = (kind: BufferClass): PlanPort[] =>
      this.plan.buffers.flatMap((buffer, index) =>
        buffer.class === kind
          ? [{ name: buffer.name, buffer: index, shape: (shapes[buffer.name] ?? buffer.shape).map(affine) }]
          : [],
      );
    this.plan.programs.push({ name, inputs: ports("input"), outputs: ports("output"), steps });
  }
}
