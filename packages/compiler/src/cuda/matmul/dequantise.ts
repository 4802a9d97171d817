/** Weights of NVFP4 or FP8 as bf16 in scratch, where products of a library read them: a launch for each, in front of the product. */
import type { MatmulKernel } from "../../plan/types.ts";
import { slotView } from "../code.ts";
import { constant, framePart, type KernelContext, type KernelPart } from "../kernel.ts";

const threads = 128;

/** More scratch than this is not taken for it; its products go by tiles of our own, which need none. */
export const mostDequantised = 512 * 2 ** 20;
/** With fewer rows, writing the weight and reading it again takes longer than a library's products save. */
export const leastRowsDequantised = 256;

export interface Dequantised {
  readonly name: string;
  readonly slot: number;
  readonly rows: number;
  /** Elements of a row, a multiple of 8. */
  readonly columns: number;
  /** Where it begins in scratch, in elements. */
  readonly at: number;
}

export function dequantisePart(
  { slots }: Pick<MatmulKernel, "slots">,
  { name, slot, rows, columns, at }: Dequantised,
  { about }: KernelContext,
): KernelPart {
  const isBlocks = slots[slot]!.dtype === "nvfp4";
  // Of blocks 16 rows and four blocks of each: an element of work for each row and block. Else for eight codes.
  const items = isBlocks ? Math.ceil(rows / 16) * Math.ceil(columns / 64) * 64 : (rows * columns) / 8;
  return framePart(
    {
      name,
      about: [...about, `b${slot} as bf16, for a library's product`],
      slots,
      threads,
      sharedBytes: 0,
      blocks: [{ extent: constant(items), tile: threads }],
    },
    (code) => {
      const call = isBlocks ? `dequantise_block<${rows}, ${columns}>` : `dequantise_e4m3<${rows * columns}>`;
      code.line(
        `${call}(${slotView(slot)}, global<bf16>(args.scratch), ${at}, block * ${threads} + thread_index());`,
      );
    },
  );
}
