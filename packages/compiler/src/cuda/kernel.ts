/** What becomes of one kernel of the plan: one or more `__global__` functions, launched one after the other. */
import type { Affine, MatmulKernel, PlanDtype, Slot } from "../plan/types.ts";
import { affineText, Code, constantOf, slotView, storageType } from "./code.ts";
import type { CudaBlockScales, CudaExtent } from "./types.ts";

/** Prelude files in the order in which they must be included. */
export const preludeFiles = [
  "device.cuh",
  "numbers.cuh",
  "rows.cuh",
  "random.cuh",
  "nvfp4.cuh",
  "nvfp4_encode.cuh",
  "fp4_operands.cuh",
  "blocks.cuh",
  "gemv.cuh",
  "nvfp4_gemv.cuh",
  "gemm.cuh",
  "product.cuh",
  "loss_head.cuh",
  "attention.cuh",
  "attention_training.cuh",
  "flash.cuh",
  "flash_training.cuh",
  "top_k.cuh",
] as const;
export type PreludeFile = (typeof preludeFiles)[number];

export interface KernelPart {
  readonly name: string;
  readonly text: string;
  readonly threads: number;
  readonly sharedBytes: number;
  readonly blocks: CudaExtent[];
  readonly perMultiprocessor: number;
  /** Parts of one name are launches of one function, with pieces of their own; default 0. */
  readonly piece?: number;
}

export interface KernelText {
  readonly parts: readonly KernelPart[];
  readonly prelude: readonly PreludeFile[];
  readonly scratchBytes: number;
  readonly tickets: number;
  /** The way by products of NVIDIA's library, where there is one. */
  readonly library?: LibraryWay;
}

/** `CudaMatrix` before buffers are bound: `slot` -1 is scratch. */
export interface SlotMatrix {
  readonly slot: number;
  readonly dtype: PlanDtype;
  readonly offset: number;
  readonly stride: number;
}

export interface SlotProduct {
  readonly columns: number;
  readonly contracted: Affine;
  readonly x: SlotMatrix;
  readonly isXTransposed: boolean;
  readonly weight: SlotMatrix;
  readonly isWeightTransposed: boolean;
  readonly out: SlotMatrix;
  readonly addend: SlotMatrix | undefined;
  /** Of operands in NVFP4, in scratch. */
  readonly scales: CudaBlockScales | undefined;
}

export interface LibraryWay {
  readonly rows: readonly Affine[];
  readonly leastRows: number;
  /** May be parts of the other way as well. */
  readonly before: readonly KernelPart[];
  readonly products: readonly SlotProduct[];
  readonly after: readonly KernelPart[];
  readonly scratchBytes: number;
  /** Besides that of the other way. */
  readonly prelude?: readonly PreludeFile[];
}

/** What the text of a kernel needs to know besides the kernel itself. */
export interface KernelContext {
  /** A C identifier, different for each kernel of the plan. */
  readonly name: string;
  /** Largest value of each of the plan's symbols. */
  readonly symbolMax: readonly number[];
  /** Lines for the comment above the kernel: where it comes from, what it computes. */
  readonly about: readonly string[];
  /** Where products of two NVFP4 matrices go to units for FP4: the slots whose values are code times scale already. */
  readonly fp4?: ReadonlySet<number>;
}

/** The largest value of an affine expression with factors that are not negative, as extents are. */
export function largest({ constant, terms }: Affine, symbolMax: readonly number[]): number {
  return terms.reduce((sum, { symbol, factor }) => sum + factor * symbolMax[symbol]!, constant);
}

/** The most rows that a matmul has at once. */
export function rowsOf(kernel: MatmulKernel, symbolMax: readonly number[]): number {
  return kernel.rows.reduce((product, loop) => product * largest(loop.extent, symbolMax), 1);
}

export interface PartFrame {
  readonly name: string;
  readonly about: readonly string[];
  readonly slots: readonly Slot[];
  readonly threads: number;
  readonly sharedBytes: number;
  readonly blocks: CudaExtent[];
  readonly perMultiprocessor?: number;
  /** Blocks that a multiprocessor must be able to hold at once; default 1. */
  readonly resident?: number;
  /** The body begins before the kernel in front has ended, and calls `wait_for_inputs` itself. */
  readonly startsEarly?: boolean;
}

/**
 * The device function `name_body(args, block)`, the number of virtual blocks, and the thin kernel around them. Only the
 * slots and symbols that the body names are declared.
 */
export function framePart(frame: PartFrame, write: (code: Code) => void): KernelPart {
  const { name, slots, threads, sharedBytes, blocks, perMultiprocessor = 0 } = frame;
  const body = new Code();
  body.block("", () => {
    body.line("let_next_start();");
    if (frame.startsEarly !== true) body.line("wait_for_inputs();");
    write(body);
  });
  const inside = body.text();
  const code = new Code();
  for (const line of frame.about) code.line(`// ${withinLine(line)}`);
  const count = blocks
    .map(({ extent, tile }) =>
      tile === 1 ? affineText(extent) : `((${affineText(extent)} + ${tile - 1}) / ${tile})`,
    )
    .join(" * ");
  code.block(`DEVICE i64 ${name}_blocks([[maybe_unused]] const Args<${slots.length}>& args)`, () => {
    declareSymbols(code, count);
    code.line(`return ${perMultiprocessor > 0 ? "args.blocks" : count || "1"};`);
  });
  code.block(
    `DEVICE void ${name}_body(const Args<${slots.length}>& args, [[maybe_unused]] i64 block)`,
    () => {
      slots.forEach((slot, index) => {
        if (!new RegExp(`\\b${slotView(index)}\\b`).test(inside)) return;
        code.line(
          `const Global<${storageType[slot.dtype]}> ${slotView(index)} = global<${storageType[slot.dtype]}>(args.slot[${index}]);`,
        );
      });
      declareSymbols(code, inside);
      for (const line of inside.split("\n").slice(1, -2)) code.line(line.slice(2));
    },
  );
  code.line(`WEFT_KERNEL(${name}, ${threads}, ${frame.resident ?? 1}, ${slots.length})`);
  return { name, text: code.text(), threads, sharedBytes, blocks, perMultiprocessor };
}

/** Names are the user's: none of them ends the comment, or lets it go on over the next line. */
const withinLine = (text: string): string => text.replace(/[^\P{Cc}]|[\u2028\u2029\\]/gu, "?");

function declareSymbols(code: Code, text: string): void {
  const used = new Set([...text.matchAll(/\bs(\d+)\b/g)].map((found) => Number(found[1])));
  for (const symbol of [...used].sort((a, b) => a - b)) {
    code.line(`const i64 s${symbol} = symbol(args, ${symbol});`);
  }
}

/** The product of extents as text. */
export function productText(extents: readonly Affine[]): string {
  const parts = extents.map(affineText).filter((one) => one !== "1LL");
  return parts.length === 0 ? "1LL" : parts.join(" * ");
}

export const constant = (value: number): Affine => ({ constant: value, terms: [] });

/**
 * Blocks of `tile` rows of flattened loops. One symbolic extent is cut, the constant ones multiplied into it; further
 * symbolic ones multiply the blocks, which may then be a few more than needed.
 */
export function flatTiles(extents: readonly Affine[], tile: number): CudaExtent[] {
  const factor = extents.reduce((product, extent) => product * (constantOf(extent) ?? 1), 1);
  const [first, ...others] = extents.filter((extent) => constantOf(extent) === undefined);
  if (first === undefined) return [{ extent: constant(factor), tile }];
  return [{ extent: scaled(first, factor), tile }, ...others.map((extent) => ({ extent, tile: 1 }))];
}

export const scaled = (extent: Affine, by: number): Affine => ({
  constant: extent.constant * by,
  terms: extent.terms.map(({ symbol, factor }) => ({ symbol, factor: factor * by })),
});
