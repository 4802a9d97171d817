/** A plan for CUDA: the text of its kernels, and the launches of its steps. */
import type { Kernel, Plan } from "../plan/types.ts";
import { aboutKernel } from "./about.ts";
import { emitAttention } from "./attention/attention.ts";
import { emitAttentionBackward, emitAttentionForward } from "./attention/training.ts";
import { type Fp4Products, requireFp4Products } from "./fp4.ts";
import {
  type KernelContext,
  type KernelPart,
  type KernelText,
  type PreludeFile,
  preludeFiles,
  type SlotMatrix,
} from "./kernel.ts";
import { emitLossHead } from "./loss-head.ts";
import { emitMatmul } from "./matmul/index.ts";
import { emitContract } from "./product/contract.ts";
import { quantisedSlots } from "./quantised-slots.ts";
import { emitRows } from "./rows/rows-kernel.ts";
import { emitScatterAdd } from "./scatter-add-kernel.ts";
import { emitTopK } from "./top-k-kernel.ts";
import {
  type CudaFunction,
  type CudaLaunch,
  type CudaLibraryStep,
  type CudaMatrix,
  type CudaPlan,
  cudaVersion,
} from "./types.ts";

export interface CudaEmitOptions {
  /** Who multiplies two matrices of NVFP4 where there are rows enough. Default: "emulated". */
  readonly fp4?: Fp4Products;
}

/**
 * @throws WeftError where units for FP4 are asked for and the plan has nothing for them. Whether a GPU has them is its
 * runtime's question, or that of who names the target.
 */
export function emitCuda(plan: Plan, options: CudaEmitOptions = {}): CudaPlan {
  const texts = textsOf(plan, options);
  const functions: CudaFunction[] = [];
  const functionOf = new Map<string, number>();
  texts.forEach((text, index) => {
    for (const part of partsOf(text)) {
      const { name, threads, sharedBytes } = part;
      functionOf.set(name, functions.length);
      functions.push({ name, module: 0, threads, sharedBytes, slots: plan.kernels[index]!.slots.length });
    }
  });
  const launchesOf = (parts: readonly KernelPart[], step: number, bindings: number[]): CudaLaunch[] =>
    parts.map((part) => {
      const { name, piece = 0, blocks, perMultiprocessor } = part;
      return { function: functionOf.get(name)!, step, piece, bindings, blocks, perMultiprocessor };
    });
  const programs = plan.programs.map(({ name, steps }) => ({
    name,
    launches: steps.flatMap(({ kernel, bindings }, step) => launchesOf(texts[kernel]!.parts, step, bindings)),
    librarySteps: steps.flatMap(({ kernel, bindings }, step): CudaLibraryStep[] => {
      const { library } = texts[kernel]!;
      if (library === undefined) return [];
      const matrix = ({ slot, dtype, offset, stride }: SlotMatrix): CudaMatrix => {
        return { buffer: slot < 0 ? -1 : bindings[slot]!, dtype, offset, stride };
      };
      const products = library.products.map(({ x, weight, out, addend, scales, ...product }) => ({
        ...product,
        x: matrix(x),
        weight: matrix(weight),
        out: matrix(out),
        addends: addend === undefined ? [] : [matrix(addend)],
        scales: scales === undefined ? [] : [scales],
      }));
      const before = launchesOf(library.before, step, bindings);
      const after = launchesOf(library.after, step, bindings);
      return [{ step, rows: [...library.rows], leastRows: library.leastRows, before, products, after }];
    }),
  }));
  return {
    version: cudaVersion,
    plan: plan.hash,
    modules: [{ name: plan.name, source: moduleText(texts) }],
    functions,
    programs,
    scratchBytes: Math.max(0, ...texts.map((one) => one.scratchBytes)),
    libraryScratchBytes: Math.max(0, ...texts.map((one) => one.library?.scratchBytes ?? 0)),
    tickets: Math.max(0, ...texts.map((one) => one.tickets)),
  };
}

/**
 * The functions of each kernel of a plan, to be read: what `emitCuda` puts into one module, without the prelude.
 * @throws WeftError as `emitCuda` does.
 */
export function cudaTexts(plan: Plan, options: CudaEmitOptions = {}): readonly string[] {
  return textsOf(plan, options).map((text) =>
    partsOf(text)
      .map((part) => part.text)
      .join("\n"),
  );
}

function textsOf(plan: Plan, { fp4 = "emulated" }: CudaEmitOptions): readonly KernelText[] {
  if (fp4 === "hardware") requireFp4Products(plan);
  const quantised = fp4 === "hardware" ? quantisedSlots(plan) : undefined;
  const symbolMax = plan.symbols.map((symbol) => symbol.max);
  const origins = originsByKernel(plan);
  return plan.kernels.map((kernel, index) =>
    emitKernel(kernel, {
      name: `k${index}_${identifier(kernel.name)}`,
      symbolMax,
      about: aboutKernel(plan, kernel, origins[index]!),
      ...(quantised === undefined ? {} : { fp4: quantised[index]! }),
    }),
  );
}

function emitKernel(kernel: Kernel, context: KernelContext): KernelText {
  switch (kernel.kind) {
    case "rows":
      return emitRows(kernel, context);
    case "matmul":
      return emitMatmul(kernel, context);
    case "attention":
      return emitAttention(kernel, context);
    case "attentionForward":
      return emitAttentionForward(kernel, context);
    case "attentionBackward":
      return emitAttentionBackward(kernel, context);
    case "topK":
      return emitTopK(kernel, context);
    case "linearCrossEntropy":
      return emitLossHead(kernel, context);
    case "scatterAdd":
      return emitScatterAdd(kernel, context);
    case "contract":
      return emitContract(kernel, context);
    default:
      return kernel satisfies never;
  }
}

/** The functions of a kernel: those of both ways, each once. */
function partsOf({ parts, library }: KernelText): readonly KernelPart[] {
  const all = [...parts, ...(library?.before ?? []), ...(library?.after ?? [])];
  return [...new Map(all.map((part) => [part.name, part])).values()];
}

function moduleText(texts: readonly KernelText[]): string {
  const used = new Set<PreludeFile>(texts.flatMap((one) => one.prelude));
  const includes = preludeFiles.filter((file) => used.has(file)).map((file) => `#include "${file}"`);
  const kernels = texts.flatMap((one) => partsOf(one).map(({ text }) => text));
  return `${includes.join("\n")}\n\n${kernels.join("\n")}`;
}

/** The paths of the blocks that each kernel serves, layer numbers left out. */
function originsByKernel(plan: Plan): string[][] {
  const origins = plan.kernels.map(() => new Set<string>());
  for (const { steps } of plan.programs) {
    for (const step of steps) {
      for (const path of step.origins) origins[step.kernel]!.add(path.replace(/\.\d+(?=\.|$)/g, ".*"));
    }
  }
  return origins.map((paths) => [...paths]);
}

const identifier = (name: string): string => name.replace(/[^A-Za-z0-9_]/g, "_");
