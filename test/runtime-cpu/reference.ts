/**
 * What a plan means, in the plainest TypeScript: one value after the other, sums in doubles. The specification that the
 * native executor is held to.
 */
import type {
  Affine,
  AttentionKernel,
  BinaryName,
  ContractKernel,
  HeadsAccess,
  Instruction,
  Kernel,
  MatmulKernel,
  Plan,
  RowProgram,
  TopKKernel,
  UnaryName,
} from "@weft/compiler";
import { decodeNvfp4, encodeNvfp4, randomHalf, roundWith, wordOf } from "@weft/dsl";
import {
  runAttentionBackward,
  runAttentionForward,
  runLinearCrossEntropy,
  runScatterAdd,
} from "./reference-training.ts";
import { type Bound, element, evaluate, indices, roundTo } from "./reference-values.ts";

/** Values of all buffers, by index; the caller fills weights, inputs and state. */
export type Buffers = Float32Array[];

const unary: Record<UnaryName, (x: number) => number> = {
  neg: (x) => -x,
  abs: Math.abs,
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  reciprocal: (x) => 1 / x,
  sin: Math.sin,
  cos: Math.cos,
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  floor: Math.floor,
};

const binary: Record<BinaryName, (a: number, b: number) => number> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  max: Math.max,
  min: Math.min,
  pow: (a, b) => a ** b,
  less: (a, b) => (a < b ? 1 : 0),
  lessEqual: (a, b) => (a <= b ? 1 : 0),
  equal: (a, b) => (a === b ? 1 : 0),
};

const special = { inf: Number.POSITIVE_INFINITY, "-inf": Number.NEGATIVE_INFINITY, nan: Number.NaN };

/** One row: the registers of a body. `accumulators[w]` holds the finished products of this row of columns. */
function runRow(
  body: readonly Instruction[],
  bound: Bound,
  index: readonly number[],
  accumulators: readonly number[][],
): number[][] {
  const registers: number[][] = [];
  const length = (affine: Affine) => evaluate(affine, bound.symbols);
  const row = (count: number, value: (column: number) => number) =>
    Array.from({ length: count }, (_, column) => Math.fround(value(column)));
  const at = (register: readonly number[], column: number) => register[register.length === 1 ? 0 : column]!;
  const broadcast = (operands: readonly number[], value: (...values: number[]) => number) => {
    const parts = operands.map((operand) => registers[operand]!);
    const longest = parts.find((part) => part.length !== 1)?.length ?? 1;
    return row(longest, (column) => value(...parts.map((part) => at(part, column))));
  };
  for (const instruction of body) {
    registers.push(
      (() => {
        switch (instruction.kind) {
          case "load":
          case "gather": {
            const { data } = bound.slots[instruction.access.slot]!;
            let first = element(instruction.access, bound, index);
            if (instruction.kind === "gather") {
              const wanted = registers[instruction.index]![0]!;
              if (!(wanted >= 0 && wanted < instruction.bound)) throw new Error(`gather index ${wanted}`);
              first += wanted * instruction.indexStride;
            }
            return row(
              length(instruction.length),
              (column) => data[first + column * instruction.access.rowStride]!,
            );
          }
          case "constant":
            return [
              Math.fround(instruction.special === "" ? instruction.value : special[instruction.special]),
            ];
          case "index":
            return row(
              length(instruction.length),
              (column) =>
                length(instruction.offset) + (instruction.loop < 0 ? column : index[instruction.loop]!),
            );
          case "accumulator":
            return accumulators[instruction.weight]!.map(Math.fround);
          case "unary":
            return broadcast([instruction.operand], unary[instruction.function]);
          case "binary":
            return broadcast([instruction.left, instruction.right], binary[instruction.function]);
          case "select":
            return broadcast(
              [instruction.condition, instruction.then, instruction.otherwise],
              (condition, then, otherwise) => (condition !== 0 ? then : otherwise),
            );
          case "round":
            return broadcast([instruction.operand], (value) =>
              // Registers are f32: the range's upper end is rounded once more.
              Math.fround(roundTo(instruction.dtype, value)),
            );
          case "stochasticRound": {
            const [low, high, stream] = [instruction.keyLow, instruction.keyHigh, instruction.stream].map(
              (register) => wordOf(registers[register]![0]!),
            );
            const first = instruction.strides.reduce((sum, stride, loop) => sum + stride * index[loop]!, 0);
            return registers[instruction.operand]!.map((value, column) =>
              roundWith(value, randomHalf(first + column * instruction.rowStride, [low!, high!], stream!)),
            );
          }
          case "quantizeNvfp4": {
            const { operand, encodeScale, fourOverSix, nonZero, random, strides, rowStride } = instruction;
            const [low, high, stream] = random.map((register) => wordOf(registers[register]![0]!));
            const first = strides.reduce((sum, stride, loop) => sum + stride * index[loop]!, 0);
            const bits = (at: number) => randomHalf(first + at * rowStride, [low!, high!], stream!);
            const options = { encodeScale: registers[encodeScale]![0]!, fourOverSix, nonZero };
            const encoded = encodeNvfp4(
              registers[operand]!,
              stream === undefined ? options : { ...options, bits },
            );
            return [...decodeNvfp4(encoded)];
          }
          case "reduce": {
            const values = registers[instruction.operand]!;
            return instruction.function === "sum"
              ? [Math.fround(values.reduce((sum, value) => sum + value, 0))]
              : [values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY)];
          }
          case "slice":
            return registers[instruction.operand]!.slice(
              instruction.start,
              instruction.start + instruction.length,
            );
          case "concat":
            return instruction.operands.flatMap((operand) => registers[operand]!);
          case "store": {
            const { data, dtype } = bound.slots[instruction.access.slot]!;
            const first = element(instruction.access, bound, index);
            for (let column = 0; column < length(instruction.length); column++)
              data[first + column * instruction.access.rowStride] = roundTo(
                dtype,
                at(registers[instruction.operand]!, column),
              );
            return [];
          }
          default:
            return instruction satisfies never;
        }
      })(),
    );
  }
  return registers;
}

function runRows(program: RowProgram, bound: Bound): void {
  for (const index of indices(program.loops, bound.symbols)) runRow(program.body, bound, index, []);
}

function runMatmul(kernel: MatmulKernel, bound: Bound): void {
  const inputs = [...indices(kernel.rows, bound.symbols)].map((index) =>
    runRow(kernel.prologue.body, bound, index, [])
      .at(-1)!
      .map((value) => roundTo(kernel.inputDtype, value)),
  );
  for (const group of kernel.groups) {
    const width = evaluate(group.epilogue.row.extent, bound.symbols);
    const columnRows = group.columns / width;
    let row = 0;
    for (const index of indices(group.epilogue.loops, bound.symbols)) {
      const input = inputs[Math.floor(row / columnRows)]!;
      const first = (row++ % columnRows) * width;
      const accumulators = group.weights.map((slot) =>
        Array.from({ length: width }, (_, column) => {
          const offset = (first + column) * kernel.contracted;
          return input.reduce((sum, value, k) => sum + value * bound.slots[slot]!.data[offset + k]!, 0);
        }),
      );
      runRow(group.epilogue.body, bound, index, accumulators);
    }
  }
}

function runAttention(kernel: AttentionKernel, bound: Bound): void {
  const size = (affine: Affine) => evaluate(affine, bound.symbols);
  const [queries, keys, past] = [size(kernel.queries), size(kernel.keys), size(kernel.past)];
  const place = (access: HeadsAccess, position: number, head: number) =>
    size(access.offset) + position * access.positionStride + head * access.headStride;
  const data = (access: HeadsAccess) => bound.slots[access.slot]!.data;
  for (let query = 0; query < queries; query++) {
    for (let head = 0; head < kernel.heads; head++) {
      const kvHead = Math.floor(head / (kernel.heads / kernel.kvHeads));
      const seen = kernel.causal ? Math.min(keys, past + query + 1) : keys;
      const q = place(kernel.query, query, head);
      const scores = Array.from({ length: seen }, (_, key) => {
        const k = place(kernel.key, key, kvHead);
        let dot = 0;
        for (let d = 0; d < kernel.headDim; d++) dot += data(kernel.query)[q + d]! * data(kernel.key)[k + d]!;
        return dot * kernel.scale;
      });
      const most = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - most));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      const out = place(kernel.output, query, head);
      const { dtype } = bound.slots[kernel.output.slot]!;
      for (let d = 0; d < kernel.headDim; d++) {
        const sum = weights.reduce(
          (value, weight, key) => value + weight * data(kernel.value)[place(kernel.value, key, kvHead) + d]!,
          0,
        );
        data(kernel.output)[out + d] = roundTo(dtype, seen === 0 ? 0 : sum / total);
      }
    }
  }
}

function runContract(kernel: ContractKernel, bound: Bound): void {
  for (const outer of indices(kernel.loops, bound.symbols)) {
    let sum = 0;
    for (const inner of indices(kernel.contracted, bound.symbols)) {
      const index = [...outer, ...inner];
      sum +=
        bound.slots[kernel.a.slot]!.data[element(kernel.a, bound, index)]! *
        bound.slots[kernel.b.slot]!.data[element(kernel.b, bound, index)]!;
    }
    const { data, dtype } = bound.slots[kernel.out.slot]!;
    data[element(kernel.out, bound, outer)] = roundTo(dtype, sum);
  }
}

function runTopK(kernel: TopKKernel, bound: Bound): void {
  for (const outer of indices(kernel.loops, bound.symbols)) {
    const { data } = bound.slots[kernel.input.slot]!;
    const from = element(kernel.input, bound, outer);
    const row = Array.from({ length: kernel.length }, (_, index) => ({
      index,
      value: data[from + index * kernel.input.rowStride]!,
    }));
    const isNan = ({ value }: { value: number }) => Number(Number.isNaN(value));
    row.sort((a, b) => isNan(b) - isNan(a) || b.value - a.value || a.index - b.index);
    const to = element(kernel.output, bound, outer);
    row.slice(0, kernel.count).forEach(({ index, value }, rank) => {
      bound.slots[kernel.output.slot]!.data.set([value, index], to + 2 * rank);
    });
  }
}

function runKernel(kernel: Kernel, bound: Bound): void {
  if (kernel.kind === "rows") runRows(kernel.program, bound);
  else if (kernel.kind === "matmul") runMatmul(kernel, bound);
  else if (kernel.kind === "attention") runAttention(kernel, bound);
  else if (kernel.kind === "attentionForward") runAttentionForward(kernel, bound);
  else if (kernel.kind === "attentionBackward") runAttentionBackward(kernel, bound);
  else if (kernel.kind === "topK") runTopK(kernel, bound);
  else if (kernel.kind === "linearCrossEntropy") runLinearCrossEntropy(kernel, bound);
  else if (kernel.kind === "scatterAdd") runScatterAdd(kernel, bound);
  else if (kernel.kind === "contract") runContract(kernel, bound);
  else kernel satisfies never;
}

/** The values of all symbols, sums filled in. */
export function symbolValues(plan: Plan, given: Readonly<Record<string, number>>): number[] {
  const value = (index: number): number => {
    const symbol = plan.symbols[index]!;
    return symbol.sum.length === 0
      ? given[symbol.name]!
      : symbol.sum.reduce((sum, part) => sum + value(part), 0);
  };
  return plan.symbols.map((_, index) => value(index));
}

/** Executes one program on the buffers, in place. */
export function referenceRun(
  plan: Plan,
  program: string,
  given: Readonly<Record<string, number>>,
  buffers: Buffers,
): void {
  const symbols = symbolValues(plan, given);
  for (const step of plan.programs.find(({ name }) => name === program)!.steps) {
    const kernel = plan.kernels[step.kernel]!;
    const slots = kernel.slots.map((slot, i) => ({ data: buffers[step.bindings[i]!]!, dtype: slot.dtype }));
    runKernel(kernel, { slots, symbols });
  }
}
