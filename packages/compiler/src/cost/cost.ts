/**
 * The cost model: bytes that a step must move and operations that it does, from the plan alone. A byte that several
 * rows share counts once, scratch and caches do not count: this is the least that memory must deliver.
 */
import { opTable } from "@weft/dsl";
import { elementBytes } from "../plan/element-bytes.ts";
import type {
  Access,
  Affine,
  AttentionBackwardKernel,
  AttentionForwardKernel,
  AttentionKernel,
  BinaryName,
  HeadsAccess,
  Instruction,
  Kernel,
  Loop,
  Plan,
  PlanProgram,
  RowProgram,
  Slot,
  UnaryName,
} from "../plan/types.ts";

export interface StepCost {
  readonly readBytes: number;
  readonly writtenBytes: number;
  /** Floating-point operations; a multiply-add is two. */
  readonly operations: number;
}

/** Symbol values by name; sums may be left out. */
export type SymbolValues = Readonly<Record<string, number>>;

/** Of one element: what the op table says of the op that an instruction is named after. */
const perElement = (name: UnaryName | BinaryName): number => opTable[name].cost.perResult;

export function dtypeSize(dtype: Slot["dtype"]): number {
  return elementBytes[dtype];
}

/** All symbols of a plan, sums included. @throws RangeError for one that is missing or out of range. */
export function symbolValues(plan: Plan, given: SymbolValues): number[] {
  const values = plan.symbols.map((one) => (one.sum.length === 0 ? given[one.name] : undefined));
  return plan.symbols.map((one, index) => {
    const value =
      one.sum.length === 0
        ? values[index]
        : one.sum.reduce((sum, part) => sum + (values[part] ?? Number.NaN), 0);
    if (value === undefined || !(value >= 0 && value <= one.max)) {
      throw new RangeError(`the symbol "${one.name}" must be a number from 0 to ${one.max}; given ${value}`);
    }
    return value;
  });
}

export function evaluate(affine: Affine, symbols: readonly number[]): number {
  return affine.terms.reduce((sum, term) => sum + term.factor * symbols[term.symbol]!, affine.constant);
}

/** The cost of each step of a program. */
export function costOf(plan: Plan, program: PlanProgram, given: SymbolValues): StepCost[] {
  const symbols = symbolValues(plan, given);
  return program.steps.map((step) => kernelCost(plan.kernels[step.kernel]!, symbols));
}

export function totalCost(costs: readonly StepCost[]): StepCost {
  return costs.reduce(
    (sum, one) => ({
      readBytes: sum.readBytes + one.readBytes,
      writtenBytes: sum.writtenBytes + one.writtenBytes,
      operations: sum.operations + one.operations,
    }),
    { readBytes: 0, writtenBytes: 0, operations: 0 },
  );
}

/** Seconds that a step takes at least on a device of this bandwidth (bytes/s) and arithmetic (operations/s). */
export function rooflineSeconds(cost: StepCost, bandwidth: number, arithmetic: number): number {
  return Math.max((cost.readBytes + cost.writtenBytes) / bandwidth, cost.operations / arithmetic);
}

class Tally {
  readBytes = 0;
  writtenBytes = 0;
  operations = 0;
  readonly slots: readonly Slot[];
  readonly symbols: readonly number[];
  readonly #seen = new Set<string>();

  constructor(slots: readonly Slot[], symbols: readonly number[]) {
    this.slots = slots;
    this.symbols = symbols;
  }

  /** Adds the bytes of an access once, however often the body repeats it. */
  touch(kind: "read" | "write", access: Access, elements: number): void {
    const key = `${kind}${JSON.stringify(access)}${elements}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    const bytes = elements * dtypeSize(this.slots[access.slot]!.dtype);
    if (kind === "read") this.readBytes += bytes;
    else this.writtenBytes += bytes;
  }

  heads(kind: "read" | "write", access: HeadsAccess, elements: number): void {
    const bytes = elements * dtypeSize(this.slots[access.slot]!.dtype);
    if (kind === "read") this.readBytes += bytes;
    else this.writtenBytes += bytes;
  }

  size(affine: Affine): number {
    return evaluate(affine, this.symbols);
  }

  cost(): StepCost {
    return { readBytes: this.readBytes, writtenBytes: this.writtenBytes, operations: this.operations };
  }
}

function kernelCost(kernel: Kernel, symbols: readonly number[]): StepCost {
  const tally = new Tally(kernel.slots, symbols);
  switch (kernel.kind) {
    case "rows":
      addRows(tally, kernel.program);
      break;
    case "matmul": {
      const rows = kernel.rows.reduce((product, one) => product * tally.size(one.extent), 1);
      addRows(tally, kernel.prologue);
      for (const group of kernel.groups) {
        addRows(tally, group.epilogue);
        for (const weight of group.weights) {
          const elements = group.columns * kernel.contracted;
          tally.readBytes += elements * dtypeSize(kernel.slots[weight]!.dtype);
          tally.operations += 2 * rows * elements;
        }
      }
      break;
    }
    case "attention":
      addAttention(tally, kernel, 4);
      tally.heads("write", kernel.output, queryElements(tally, kernel));
      break;
    case "attentionForward": {
      addAttention(tally, kernel, kernel.outputs.length === 0 ? 2 : 4);
      for (const output of kernel.outputs) tally.heads("write", output, queryElements(tally, kernel));
      const rows = tally.size(kernel.queries) * kernel.heads;
      for (const sums of kernel.logSumExps) tally.touch("write", sums, rows);
      for (const starts of kernel.starts) tally.touch("read", starts, tally.size(kernel.queries));
      break;
    }
    case "attentionBackward": {
      // The scores again, and four products of their size.
      addAttention(tally, kernel, 10);
      const [own, shared] = [queryElements(tally, kernel), keyElements(tally, kernel)];
      for (const access of [kernel.result, kernel.cotangent]) tally.heads("read", access, own);
      tally.touch("read", kernel.logSumExp, tally.size(kernel.queries) * kernel.heads);
      for (const starts of kernel.starts) tally.touch("read", starts, tally.size(kernel.queries));
      tally.heads("write", kernel.queryGradient, own);
      tally.heads("write", kernel.keyGradient, shared);
      tally.heads("write", kernel.valueGradient, shared);
      break;
    }
    case "topK": {
      const rows = kernel.loops.reduce((product, one) => product * tally.size(one.extent), 1);
      tally.touch("read", kernel.input, rows * kernel.length);
      tally.touch("write", kernel.output, rows * kernel.count * 2);
      tally.operations += rows * kernel.length;
      break;
    }
    case "linearCrossEntropy": {
      const positions = tally.size(kernel.positions);
      const { contracted, classes, chunk } = kernel;
      tally.touch("read", kernel.input, positions * contracted);
      tally.touch("read", kernel.targets, positions);
      const matrix = classes * contracted * dtypeSize(kernel.slots[kernel.weight]!.dtype);
      // Each chunk reads the weight, and once more where it goes back, and updates its gradient.
      const chunks = Math.ceil(positions / chunk);
      const products = 1 + kernel.inputGradients.length + kernel.weightGradients.length;
      tally.readBytes += chunks * matrix * (1 + kernel.inputGradients.length);
      for (const one of kernel.weightGradients) {
        tally.touch("write", one, classes * contracted);
        tally.readBytes += Math.max(0, chunks - 1) * classes * contracted * 4;
        tally.writtenBytes += Math.max(0, chunks - 1) * classes * contracted * 4;
      }
      for (const one of kernel.inputGradients) tally.touch("write", one, positions * contracted);
      for (const one of kernel.losses) tally.touch("write", one, positions);
      for (const one of kernel.cotangents) tally.touch("read", one, positions);
      tally.operations += positions * classes * (2 * contracted * products + perElement("exp") + 6);
      break;
    }
    case "scatterAdd": {
      const extent = (loops: readonly Loop[]) =>
        loops.reduce((product, one) => product * tally.size(one.extent), 1);
      const columns = extent([...kernel.loops, kernel.row]);
      const [positions, rows] = [extent(kernel.positions), tally.size(kernel.bound)];
      tally.touch("read", kernel.indices, positions);
      tally.touch("read", kernel.updates, positions * columns);
      for (const addend of kernel.addends) tally.touch("read", addend, rows * columns);
      tally.touch("write", kernel.out, rows * columns);
      tally.operations += positions * columns;
      break;
    }
    case "contract": {
      const extents = [...kernel.loops, ...kernel.contracted].map((one) => tally.size(one.extent));
      const touched = (access: Access) =>
        access.strides.reduce((product, stride, i) => (stride === 0 ? product : product * extents[i]!), 1);
      tally.touch("read", kernel.a, touched(kernel.a));
      tally.touch("read", kernel.b, touched(kernel.b));
      tally.touch("write", kernel.out, touched(kernel.out));
      tally.operations += 2 * extents.reduce((product, one) => product * one, 1);
      break;
    }
    default:
      kernel satisfies never;
  }
  return tally.cost();
}

type AnyAttention = AttentionKernel | AttentionForwardKernel | AttentionBackwardKernel;

const queryElements = (tally: Tally, { queries, heads, headDim }: AnyAttention) =>
  tally.size(queries) * heads * headDim;
const keyElements = (tally: Tally, { keys, kvHeads, headDim }: AnyAttention) =>
  tally.size(keys) * kvHeads * headDim;

/**
 * What all kinds of attention read, and the work on the scores that may be seen: where documents are packed, how many
 * are depends on where they start, which no plan knows.
 * @param products operations for each score and place of a head.
 */
function addAttention(tally: Tally, kernel: AnyAttention, products: number): void {
  const [queries, keys, past] = [kernel.queries, kernel.keys, kernel.past].map((one) => tally.size(one)) as [
    number,
    number,
    number,
  ];
  const pairs = kernel.causal ? queries * past + (queries * (queries + 1)) / 2 : queries * keys;
  // Beside the products the exponential of every score.
  tally.operations += pairs * kernel.heads * (products * kernel.headDim + perElement("exp") + 3);
  tally.heads("read", kernel.query, queryElements(tally, kernel));
  tally.heads("read", kernel.key, keyElements(tally, kernel));
  tally.heads("read", kernel.value, keyElements(tally, kernel));
}

function addRows(tally: Tally, program: RowProgram): void {
  const extents = program.loops.map((one) => tally.size(one.extent));
  const rows = extents.reduce((product, one) => product * one, 1);
  const lengths: number[] = [];
  const touched = (access: Access, length: number) =>
    access.strides.reduce((product, stride, i) => (stride === 0 ? product : product * extents[i]!), 1) *
    (access.rowStride === 0 ? 1 : length);
  for (const one of program.body) lengths.push(addInstruction(tally, one, lengths, rows, touched));
}

/** Counts one instruction and gives the length of its register. */
function addInstruction(
  tally: Tally,
  one: Instruction,
  lengths: readonly number[],
  rows: number,
  touched: (access: Access, length: number) => number,
): number {
  switch (one.kind) {
    case "load":
      tally.touch("read", one.access, touched(one.access, tally.size(one.length)));
      return tally.size(one.length);
    case "gather": {
      // Each row names a slice of its own.
      const length = tally.size(one.length);
      tally.touch("read", one.access, rows * (one.access.rowStride === 0 ? 1 : length));
      return length;
    }
    case "store":
      tally.touch("write", one.access, touched(one.access, tally.size(one.length)));
      return 0;
    case "constant":
      return 1;
    case "index":
    case "accumulator":
      return tally.size(one.length);
    case "unary":
      tally.operations += rows * lengths[one.operand]! * perElement(one.function);
      return lengths[one.operand]!;
    case "binary": {
      const length = Math.max(lengths[one.left]!, lengths[one.right]!);
      tally.operations += rows * length * perElement(one.function);
      return length;
    }
    case "select": {
      const length = Math.max(lengths[one.condition]!, lengths[one.then]!, lengths[one.otherwise]!);
      tally.operations += rows * length;
      return length;
    }
    case "round":
      return lengths[one.operand]!;
    case "stochasticRound":
    case "quantizeNvfp4":
      tally.operations += rows * lengths[one.operand]! * opTable[one.kind].cost.perResult;
      return lengths[one.operand]!;
    case "reduce":
      tally.operations += rows * lengths[one.operand]!;
      return 1;
    case "slice":
      return one.length;
    case "concat":
      return one.operands.reduce((sum, operand) => sum + lengths[operand]!, 0);
    default:
      return one satisfies never;
  }
}
