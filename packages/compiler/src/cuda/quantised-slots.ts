/**
 * Slots that hold values in blocks of NVFP4, code times scale, though the plan stores them as plain floats: a product's
 * epilogue that ends in `quantizeNvfp4` writes what the next product reads.
 */
import type { Access, Kernel, Plan, RowProgram } from "../plan/types.ts";

const block = 16;

/** For each kernel its slots that hold such values in every step, blocks at multiples of 16 elements of the buffer. */
export function quantisedSlots(plan: Plan): ReadonlySet<number>[] {
  const buffers = quantisedBuffers(plan);
  const found = plan.kernels.map(({ slots }) => new Set(slots.keys()));
  for (const { steps } of plan.programs) {
    for (const { kernel, bindings } of steps) {
      bindings.forEach((buffer, slot) => {
        if (!buffers.has(buffer)) found[kernel]!.delete(slot);
      });
    }
  }
  return found;
}

/** Values of a program that nothing but whole blocks are written to. */
function quantisedBuffers(plan: Plan): ReadonlySet<number> {
  const [quantised, others] = [new Set<number>(), new Set<number>()];
  const written = plan.kernels.map(writesBlocks);
  for (const { steps } of plan.programs) {
    for (const { kernel, bindings } of steps) {
      plan.kernels[kernel]!.slots.forEach(({ access }, slot) => {
        if (access !== "read") (written[kernel]!(slot) ? quantised : others).add(bindings[slot]!);
      });
    }
  }
  // States and inputs have other writers.
  const isOurs = (buffer: number) => ["activations", "output"].includes(plan.buffers[buffer]!.class);
  return new Set([...quantised].filter((buffer) => !others.has(buffer) && isOurs(buffer)));
}

/** Whether all that a kernel stores in a slot is whole blocks. */
function writesBlocks(kernel: Kernel): (slot: number) => boolean {
  const programs = programsOf(kernel);
  return (slot) => {
    const stores = programs.flatMap((program) =>
      program.body.flatMap((one) =>
        one.kind === "store" && one.access.slot === slot
          ? [quantizerOf(program, one.operand) !== undefined && isInBlocks(one.access)]
          : [],
      ),
    );
    return stores.length > 0 && stores.every((isWhole) => isWhole);
  };
}

function programsOf(kernel: Kernel): readonly RowProgram[] {
  if (kernel.kind === "rows") return [kernel.program];
  return kernel.kind === "matmul" ? kernel.groups.map(({ epilogue }) => epilogue) : [];
}

/** The `quantizeNvfp4` that gives a register's values; what it gives is exact in every float type. */
export function quantizerOf({ body }: Pick<RowProgram, "body">, register: number): number | undefined {
  const one = body[register]!;
  if (one.kind === "round") return quantizerOf({ body }, one.operand);
  return one.kind === "quantizeNvfp4" ? register : undefined;
}

/** Whether rows begin at multiples of 16 elements and go on side by side. */
export function isInBlocks({ offset, strides, rowStride }: Access): boolean {
  const steps = [offset.constant, ...offset.terms.map(({ factor }) => factor), ...strides];
  return rowStride === 1 && steps.every((step) => step % block === 0);
}
