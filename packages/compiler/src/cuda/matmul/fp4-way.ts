/**
 * Products of two NVFP4 matrices in units that multiply FP4, by NVIDIA's library: where the target has them and they are
 * asked for. The rows and the weights go to scratch as the units read them, sums come back in f32, and the epilogue
 * multiplies by the tensors' scales as it does behind every other product. Untested on hardware.
 */
import type { Access, MatmulKernel } from "../../plan/types.ts";
import { constant, type KernelContext, type KernelPart, type LibraryWay, rowsOf } from "../kernel.ts";
import { isInBlocks, quantizerOf } from "../quantised-slots.ts";
import { mostDequantised } from "./dequantise.ts";
import { type Fp4Place, paddedLength, repackPart, rowsOperandPart, takeOperand } from "./fp4-operands.ts";
import { libraryProducts, StepScratch } from "./library-products.ts";
import { leastRows } from "./library-way.ts";

/** Whether both sides of all products are of NVFP4. `quantised`: slots whose values are code times scale. */
export function isOfTwoNvfp4(kernel: MatmulKernel, quantised: ReadonlySet<number>): boolean {
  const { prologue, slots, groups } = kernel;
  const weights = groups.flatMap((group) => group.weights);
  if (!weights.every((slot) => slots[slot]!.dtype === "nvfp4")) return false;
  const last = prologue.body.length - 1;
  if (quantizerOf(prologue, last) !== undefined) return true;
  const read = loadOf(kernel);
  return read !== undefined && quantised.has(read.slot) && isInBlocks(read);
}

/** Where rows come from that are only read, and perhaps rounded to what they are already. */
function loadOf({ prologue: { body } }: MatmulKernel): Access | undefined {
  const one = body.find((instruction) => instruction.kind !== "round");
  const isAlone = body.every((instruction) => instruction === one || instruction.kind === "round");
  return isAlone && one?.kind === "load" ? one.access : undefined;
}

/** Why products of two NVFP4 matrices do not go to units for FP4; undefined where they do. */
export function fp4Refusal(kernel: MatmulKernel, symbolMax: readonly number[]): string | undefined {
  const rows = rowsOf(kernel, symbolMax);
  if (rows < leastRows)
    return `at most ${rows} ${rows === 1 ? "row" : "rows"}, and units for FP4 are worth their while from ${leastRows} on`;
  const odd = kernel.groups.find(({ columns }) => columns % 8 !== 0);
  if (odd !== undefined) return `${odd.columns} columns, which is no multiple of 8`;
  const bytes = kernel.groups.reduce(
    (sum, { columns, weights }) => sum + (columns * weights.length * kernel.contracted * 9) / 16,
    0,
  );
  if (bytes > mostDequantised) return `weights of ${bytes} bytes, more than scratch may take`;
  return undefined;
}

export function fp4Way(kernel: MatmulKernel, context: KernelContext): LibraryWay | undefined {
  const { fp4, symbolMax, name } = context;
  if (fp4 === undefined || !isOfTwoNvfp4(kernel, fp4) || fp4Refusal(kernel, symbolMax) !== undefined)
    return undefined;
  const rows = rowsOf(kernel, symbolMax);
  const { contracted, groups } = kernel;
  const scratch = new StepScratch();
  const x = takeOperand(scratch, rows, contracted);
  const before: KernelPart[] = [rowsOperandPart(kernel, x, `${name}_fp4x`, context)];
  const places = new Map<number, Fp4Place>();
  for (const { columns, weights } of groups) {
    for (const slot of weights) {
      if (places.has(slot)) continue;
      const place = takeOperand(scratch, columns, contracted);
      before.push(repackPart(kernel, slot, columns, place, `${name}_fp4w${places.size}`, context));
      places.set(slot, place);
    }
  }
  const length = paddedLength(contracted);
  const matrix = ({ codes }: Fp4Place) => ({
    slot: -1,
    dtype: "nvfp4" as const,
    offset: 2 * codes,
    stride: length,
  });
  const { products, after } = libraryProducts(kernel, rows, scratch, context, (slot) => {
    const weight = places.get(slot)!;
    return {
      contracted: constant(length),
      x: matrix(x),
      weight: matrix(weight),
      scales: { x: x.scales, weight: weight.scales },
    };
  });
  return {
    rows: kernel.rows.map((loop) => loop.extent),
    leastRows,
    before,
    products,
    after,
    scratchBytes: scratch.bytes,
    prelude: ["random.cuh", "nvfp4.cuh", "nvfp4_encode.cuh", "fp4_operands.cuh"],
  };
}
