/**
 * What a plan means, in the plainest TypeScript: one value after the other, sums in doubles. The specification that the
 * native executor is held to.
 */
import type {
  Access,
  Affine,
  AttentionBackwardKernel,
  AttentionForwardKernel,
  AttentionKernel,
  BinaryName,
  ContractKernel,
  HeadsAccess,
  Instruction,
  Kernel,
  LinearCrossEntropyKernel,
  Loop,
  MatmulKernel,
  Plan,
  PlanDtype,
  RowProgram,
  ScatterAddKernel,
  TopKKernel,
  UnaryName,
} from "@weft/compiler";

/** Values of all buffers, by index; the caller fills weights, inputs and state. */
export type Buffers = Float32Array[];

const half = new Float32Array(1);
const halfBits = new Uint32Array(half.buffer);

function toBf16(value: number): number {
  half[0] = value;
  if (Number.isNaN(half[0])) return Number.NaN;
  const bits = halfBits[0]!;
  halfBits[0] = (bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000;
  return half[0];
}

function toF16(value: number): number {
  const magnitude = Math.abs(value);
  if (!Number.isFinite(value) || magnitude === 0) return value;
  // Eleven bits of precision, or steps of 2^-24 below the smallest normal number.
  const step = 2 ** (Math.max(Math.floor(Math.log2(magnitude)), -14) - 10);
  const scaled = magnitude / step;
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  const rounded = rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
  const result = rounded * step;
  return Math.sign(value) * (result > 65504 ? Number.POSITIVE_INFINITY : result);
}

/** Toward zero, as far as the range goes; 0 for NaN. */
const toI32 = (value: number): number => Math.min(Math.max(Math.trunc(value) || 0, -2147483648), 2147483647);

/** The nearest value that the dtype can hold. */
export function roundTo(dtype: PlanDtype, value: number): number {
  if (dtype === "bf16") return toBf16(Math.fround(value));
  if (dtype === "f16") return toF16(Math.fround(value));
  if (dtype === "i32") return toI32(value);
  return Math.fround(value);
}

export function evaluate(affine: Affine, symbols: readonly number[]): number {
  return affine.terms.reduce((sum, term) => sum + term.factor * symbols[term.symbol]!, affine.constant);
}

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

/** All index tuples of a loop nest. */
function* indices(loops: readonly Loop[], symbols: readonly number[]): Generator<number[]> {
  const extents = loops.map((loop) => evaluate(loop.extent, symbols));
  const total = extents.reduce((product, extent) => product * extent, 1);
  for (let flat = 0; flat < total; flat++) {
    const index = new Array<number>(extents.length).fill(0);
    let rest = flat;
    for (let i = extents.length - 1; i >= 0; i--) {
      index[i] = rest % extents[i]!;
      rest = Math.floor(rest / extents[i]!);
    }
    yield index;
  }
}

/** One step's view of its buffers. */
interface Bound {
  readonly slots: readonly { data: Float32Array; dtype: PlanDtype }[];
  readonly symbols: readonly number[];
}

function element(access: Access, bound: Bound, index: readonly number[]): number {
  return access.strides.reduce(
    (sum, stride, i) => sum + stride * index[i]!,
    evaluate(access.offset, bound.symbols),
  );
}

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

interface SeenKeys {
  readonly first: number;
  readonly last: number;
}

/** The keys that a query of a training step sees. */
function seenKeys(
  kernel: AttentionForwardKernel | AttentionBackwardKernel,
  bound: Bound,
  query: number,
): SeenKeys {
  const keys = evaluate(kernel.keys, bound.symbols);
  if (!kernel.causal) return { first: 0, last: keys };
  const last = Math.min(evaluate(kernel.past, bound.symbols) + query + 1, keys);
  const [starts] = kernel.starts;
  const first = starts === undefined ? 0 : bound.slots[starts.slot]!.data[element(starts, bound, [query])]!;
  return { first: Math.min(Math.max(first, 0), last), last };
}

const headsElement = (access: HeadsAccess, bound: Bound, position: number, head: number) =>
  evaluate(access.offset, bound.symbols) + position * access.positionStride + head * access.headStride;

const headRow = (access: HeadsAccess, bound: Bound, position: number, head: number, headDim: number) => {
  const first = headsElement(access, bound, position, head);
  return [...bound.slots[access.slot]!.data.subarray(first, first + headDim)];
};

const dotOf = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

function runAttentionForward(kernel: AttentionForwardKernel, bound: Bound): void {
  const { heads, kvHeads, headDim, scale } = kernel;
  for (let query = 0; query < evaluate(kernel.queries, bound.symbols); query++) {
    const { first, last } = seenKeys(kernel, bound, query);
    for (let head = 0; head < heads; head++) {
      const shared = Math.floor(head / (heads / kvHeads));
      const q = headRow(kernel.query, bound, query, head, headDim);
      const keys = Array.from({ length: last - first }, (_, i) => first + i);
      const scores = keys.map((key) => scale * dotOf(q, headRow(kernel.key, bound, key, shared, headDim)));
      const top = Math.max(...scores);
      const sum = scores.reduce((total, score) => total + Math.exp(score - top), 0);
      for (const output of kernel.outputs) {
        const mixed = new Array<number>(headDim).fill(0);
        keys.forEach((key, i) => {
          const weight = Math.exp(scores[i]! - top) / sum;
          headRow(kernel.value, bound, key, shared, headDim).forEach((value, d) => {
            mixed[d]! += weight * value;
          });
        });
        bound.slots[output.slot]!.data.set(mixed, headsElement(output, bound, query, head));
      }
      for (const sums of kernel.logSumExps)
        bound.slots[sums.slot]!.data[element(sums, bound, [query, head])] = top + Math.log(sum);
    }
  }
}

function runAttentionBackward(kernel: AttentionBackwardKernel, bound: Bound): void {
  const { heads, kvHeads, headDim, scale } = kernel;
  const zeros = (access: HeadsAccess, positions: number, count: number) => {
    for (let position = 0; position < positions; position++)
      for (let head = 0; head < count; head++) {
        const at = headsElement(access, bound, position, head);
        bound.slots[access.slot]!.data.fill(0, at, at + headDim);
      }
  };
  const [queries, keys] = [kernel.queries, kernel.keys].map((one) => evaluate(one, bound.symbols));
  zeros(kernel.queryGradient, queries!, heads);
  zeros(kernel.keyGradient, keys!, kvHeads);
  zeros(kernel.valueGradient, keys!, kvHeads);
  const add = (
    access: HeadsAccess,
    position: number,
    head: number,
    factor: number,
    row: readonly number[],
  ) => {
    const at = headsElement(access, bound, position, head);
    row.forEach((value, d) => {
      bound.slots[access.slot]!.data[at + d]! += factor * value;
    });
  };
  for (let query = 0; query < queries!; query++) {
    const { first, last } = seenKeys(kernel, bound, query);
    for (let head = 0; head < heads; head++) {
      const shared = Math.floor(head / (heads / kvHeads));
      const q = headRow(kernel.query, bound, query, head, headDim);
      const cotangent = headRow(kernel.cotangent, bound, query, head, headDim);
      const correction = dotOf(cotangent, headRow(kernel.result, bound, query, head, headDim));
      const sum = bound.slots[kernel.logSumExp.slot]!.data[element(kernel.logSumExp, bound, [query, head])]!;
      for (let key = first; key < last; key++) {
        const k = headRow(kernel.key, bound, key, shared, headDim);
        const weight = Math.exp(scale * dotOf(q, k) - sum);
        const change = dotOf(cotangent, headRow(kernel.value, bound, key, shared, headDim));
        const slope = weight * (change - correction) * scale;
        add(kernel.queryGradient, query, head, slope, k);
        add(kernel.keyGradient, key, shared, slope, q);
        add(kernel.valueGradient, key, shared, weight, cotangent);
      }
    }
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

function runLinearCrossEntropy(kernel: LinearCrossEntropyKernel, bound: Bound): void {
  const { contracted, classes } = kernel;
  const positions = evaluate(kernel.positions, bound.symbols);
  const data = (slot: number) => bound.slots[slot]!.data;
  const weight = Array.from({ length: classes }, (_, row) => [
    ...data(kernel.weight).subarray(row * contracted, (row + 1) * contracted),
  ]);
  const ofWeight = weight.map((row) => row.map(() => 0));
  for (let position = 0; position < positions; position++) {
    const at = (access: Access) => element(access, bound, [position]);
    const first = at(kernel.input);
    const input = [...data(kernel.input.slot).subarray(first, first + contracted)];
    const scores = weight.map((row) => dotOf(row, input));
    const target = data(kernel.targets.slot)[at(kernel.targets)]!;
    const top = Math.max(...scores);
    const sum = scores.reduce((total, score) => total + Math.exp(score - top), 0);
    const loss = target < 0 ? 0 : Math.log(sum) + top - (scores[target] ?? 0);
    for (const one of kernel.losses) data(one.slot)[at(one)] = loss;
    const [cotangent] = kernel.cotangents;
    if (cotangent === undefined) continue;
    const change = target < 0 ? 0 : data(cotangent.slot)[at(cotangent)]!;
    const slopes = scores.map((score, row) =>
      roundTo(kernel.slopeDtype, (Math.exp(score - top) / sum - (row === target ? 1 : 0)) * change),
    );
    for (const one of kernel.inputGradients)
      for (let k = 0; k < contracted; k++)
        data(one.slot)[at(one) + k] = slopes.reduce(
          (total, slope, row) => total + slope * weight[row]![k]!,
          0,
        );
    slopes.forEach((slope, row) => {
      input.forEach((value, k) => {
        ofWeight[row]![k]! += slope * value;
      });
    });
  }
  for (const one of kernel.weightGradients)
    ofWeight.forEach((row, at) => {
      data(one.slot).set(row, element(one, bound, [at]));
    });
}

function runScatterAdd(kernel: ScatterAddKernel, bound: Bound): void {
  const { positions, loops, row, addends } = kernel;
  const rows = evaluate(kernel.bound, bound.symbols);
  const columns = evaluate(row.extent, bound.symbols);
  const { data } = bound.slots[kernel.out.slot]!;
  const [addend] = addends;
  for (const outer of indices(loops, bound.symbols)) {
    for (let column = 0; column < columns; column++) {
      const sums = Array.from({ length: rows }, (_, at) =>
        addend === undefined
          ? 0
          : bound.slots[addend.slot]!.data[element(addend, bound, [at, ...outer]) + column]!,
      );
      for (const position of indices(positions, bound.symbols)) {
        const at = bound.slots[kernel.indices.slot]!.data[element(kernel.indices, bound, position)]!;
        if (!(at >= 0 && at < rows)) throw new Error(`scatter index ${at}`);
        const update = element(kernel.updates, bound, [...position, ...outer]);
        sums[at]! += bound.slots[kernel.updates.slot]!.data[update + column * kernel.updates.rowStride]!;
      }
      sums.forEach((sum, at) => {
        data[element(kernel.out, bound, [at, ...outer]) + column] = Math.fround(sum);
      });
    }
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
