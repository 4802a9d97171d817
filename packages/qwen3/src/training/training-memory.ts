/** What training takes of memory, by purpose. */
import {
  arenaPeak,
  blocksName,
  bytesCovered,
  type Compiled,
  drawnToken,
  encodeScaleName,
  optimizerStates,
  tensorScaleName,
} from "@weft/compiler";
import type { MemoryTable as DeviceMemory } from "@weft/runtime";
import type { MemoryTable } from "./trainable.ts";

/**
 * Bytes by purpose, predicted or measured. Gradients are those in the activations' arena at its fullest step, and the sums
 * over several passes; activations are the rest of that arena.
 */
export function trainingMemory(plan: Compiled["plan"], table: DeviceMemory): MemoryTable {
  const states = plan.buffers.filter((one) => one.class === "state");
  const bytesOf = (kind: StateKind) =>
    states.filter((one) => stateKind(one) === kind).reduce((sum, { bytes }) => sum + bytes, 0);
  const [parameters, blocks] = [bytesOf("parameter"), bytesOf("blocks")];
  const [sums, cache] = [bytesOf("gradient"), bytesOf("cache")];
  const held = bytesCovered(plan, gradientsAtPeak(plan));
  return {
    parameters: parameters + table.weightsMapped + table.weightsCopied,
    ...(blocks === 0 ? {} : { blocks }),
    gradients: sums + held,
    // What lies between the states to align them is counted here.
    optimizer: table.state - parameters - blocks - sums - cache,
    ...(cache === 0 ? {} : { cache }),
    activations: table.activations - held,
    inputs: table.input + table.output,
    scratch: table.scratchShared + table.scratchPerThread * table.threads + table.control,
    total: table.total,
  };
}

type StateKind = "parameter" | "blocks" | "gradient" | "cache" | "optimizer";
type PlanBuffer = Compiled["plan"]["buffers"][number];

function stateKind({ name, positions }: PlanBuffer): StateKind {
  if (positions >= 0 || name === drawnToken) return "cache";
  if (name.startsWith(optimizerStates.gradient(""))) return "gradient";
  if (name.startsWith("optimizer.")) return "optimizer";
  return blocksSuffixes.some((suffix) => name.endsWith(suffix)) ? "blocks" : "parameter";
}

/** Of the states that make up the NVFP4 form of a parameter. */
const blocksSuffixes = [blocksName, tensorScaleName, encodeScaleName].map((nameOf) => nameOf(""));

/** Buffers that are alive at the peak and hold the gradient of a parameter: what an update, or a sum, reads of its shape. */
function gradientsAtPeak(plan: Compiled["plan"]): number[] {
  const peak = arenaPeak(plan);
  const program = plan.programs.find(({ name }) => name === peak?.program);
  const gradients = new Set<number>();
  for (const { kernel, bindings } of program?.steps ?? []) {
    const bound = plan.kernels[kernel]!.slots.map(({ access }, at) => ({ access, index: bindings[at]! }));
    const written = bound.flatMap(({ access, index }) => (access === "read" ? [] : [plan.buffers[index]!]));
    const sizes = written.flatMap((one) =>
      one.class === "state" && /^(parameter|gradient)$/.test(stateKind(one)) ? [elements(one)] : [],
    );
    for (const { access, index } of bound) {
      const one = plan.buffers[index]!;
      if (access === "read" && one.class === "activations" && sizes.includes(elements(one)))
        gradients.add(index);
    }
  }
  return peak?.buffers.filter((index) => gradients.has(index)) ?? [];
}

export const elements = ({ shape }: PlanBuffer): number => shape.reduce((product, size) => product * size, 1);
