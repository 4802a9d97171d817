/** What the states of a plan begin with: the values of the parameters that are trained, and their blocks in NVFP4. */
import type { Executable } from "@weft/runtime";
import { makeBlocks, parametersInBlocks, writeBlocks } from "./blocks.ts";
import { partMemory, weightParts } from "./read-weight.ts";
import { dequantisedParts, isInBlocks, storedBlocks, type Weights } from "./stored-blocks.ts";

/**
 * Of a weight that is stored in NVFP4 the values are those that its blocks stand for, and the blocks are its own.
 * @param names of parameters that are trained; those that no program of the plan reads have no state
 * @throws WeftError where a file cannot be read any more
 */
export async function fillStates(
  executable: Executable,
  names: readonly string[],
  weights: Weights,
): Promise<void> {
  const { plan } = executable;
  const states = new Set(plan.buffers.flatMap((one) => (one.class === "state" ? [one.name] : [])));
  const memory = partMemory();
  for (const name of names) {
    const weight = weights(name);
    if (weight === undefined || !states.has(name)) continue;
    const quantised = isInBlocks(weight);
    const parts = quantised ? dequantisedParts(weights, name) : weightParts(weight, memory);
    const dtype = quantised ? "f32" : weight.dtype;
    for (const { at, values } of parts) await executable.writeState(name, values, { dtype, at });
  }
  await makeBlocks(executable);
  for (const name of parametersInBlocks(plan, names))
    if (isInBlocks(weights(name))) await writeBlocks(executable, name, storedBlocks(weights, name));
}
