/** Weights under training that products read in NVFP4: which ones, their blocks on the device, and what files get of them. */
import { blocksName, encodeScaleName, type Plan, tensorScaleName } from "@weft/compiler";
import { nvfp4Block } from "@weft/dsl";
import type { Executable } from "@weft/runtime";
import type { Qwen3Config } from "../config/index.ts";
import { type Problem, userProblem, WeftError } from "../config/problems.ts";
import { requiredTensors } from "../inference/prepare.ts";
import { layersPath } from "../model/block.ts";
import type { Quantized } from "./compile.ts";
import { isInBlocks, type StoredBlocks, type Weights } from "./stored-blocks.ts";

export interface QuantizeTraining {
  /** Which weights, by name. Default: all linears of the layers, and what is stored in NVFP4. */
  readonly weights?: (parameter: string) => boolean;
  /** Tries two scales for each block and takes the better one. Default false. */
  readonly fourOverSix?: boolean;
}

export const isLayerLinear = (parameter: string): boolean =>
  parameter.startsWith(`${layersPath}.`) && parameter.endsWith("_proj.weight");

/**
 * What is read in blocks; undefined where nothing is. What is stored in NVFP4 and not trained is read as it is stored.
 * @throws WeftError where `quantize` names no weight that is trained, or one whose rows are no whole blocks
 */
export function quantizedBy(
  config: Qwen3Config,
  quantize: QuantizeTraining | undefined,
  trainable: (parameter: string) => boolean,
  stored: Weights,
): Quantized | undefined {
  const { fourOverSix = false } = quantize ?? {};
  const isStored = (name: string) => isInBlocks(stored(name));
  const weights =
    quantize?.weights ?? ((name) => isStored(name) || (quantize !== undefined && isLayerLinear(name)));
  const isQuantized = (name: string) => weights(name) && trainable(name);
  const required = requiredTensors(config);
  const tensors = required.filter(({ name }) => isQuantized(name));
  const problems = tensors.flatMap(({ name, shape }): Problem[] => {
    if (shape.length === 2 && shape[1]! % nvfp4Block === 0) return [];
    return [
      userProblem(
        "training",
        `a weight in nvfp4 must be a matrix whose rows are multiples of ${nvfp4Block} long`,
        {
          given: `[${shape.join(", ")}]`,
          path: name,
          remedy: "leave it out by `weights` of quantize, or train without quantize",
        },
      ),
    ];
  });
  if (tensors.length === 0 && quantize !== undefined) {
    problems.push(
      userProblem("training", "quantize must name a weight that is trained", {
        given: "none",
        remedy: "leave it out, or train linears of the layers",
      }),
    );
  }
  const [first, ...rest] = problems;
  if (first !== undefined) throw new WeftError([first, ...rest]);
  if (!required.some(({ name }) => isQuantized(name) || isStored(name))) return undefined;
  return (name) => {
    if (isQuantized(name)) return { fourOverSix };
    if (trainable(name) || !isStored(name)) return undefined;
    return { hasTensorScale: stored(tensorScaleName(name)) !== undefined, activations: "none" };
  };
}

/** Those of the given parameters that a plan keeps blocks of. */
export function parametersInBlocks(plan: Plan, parameters: readonly string[]): readonly string[] {
  const states = new Set(plan.buffers.flatMap((one) => (one.class === "state" ? [one.name] : [])));
  return parameters.filter((name) => states.has(blocksName(name)));
}

/** The blocks of the weights as they are, by the scales that are there; a scale of 0 is made from its weight. */
export async function makeBlocks(executable: Executable): Promise<void> {
  const { plan } = executable;
  if (!plan.programs.some((one) => one.name === "blocks")) return;
  // The program depends on none of them.
  const free = plan.symbols.filter(({ sum }) => sum.length === 0);
  await executable.run("blocks", {
    symbols: Object.fromEntries(free.map(({ name }) => [name, 1])),
    inputs: {},
  });
}

/**
 * In place of blocks that were made from values: the very ones that were stored. Values are not always encoded as they were
 * before, by another program or where a block's scale is small.
 */
export async function writeBlocks(executable: Executable, name: string, stored: StoredBlocks): Promise<void> {
  const { codes, scales, encodeScale, tensorScale } = stored;
  const whole = new Uint8Array(codes.length + scales.length);
  whole.set(codes);
  whole.set(scales, codes.length);
  await executable.writeState(blocksName(name), whole);
  await executable.writeState(encodeScaleName(name), Float32Array.of(encodeScale));
  await executable.writeState(tensorScaleName(name), Float32Array.of(tensorScale));
}

export async function readBlocks(executable: Executable, parameter: string): Promise<StoredBlocks> {
  const whole = (await executable.readState(blocksName(parameter))) as Uint8Array;
  const [encodeScale] = await executable.readState(encodeScaleName(parameter));
  const [tensorScale] = await executable.readState(tensorScaleName(parameter));
  // Eight bytes of codes, then one for their scale.
  const split = (whole.length / 9) * 8;
  return {
    codes: whole.subarray(0, split),
    scales: whole.subarray(split),
    encodeScale: encodeScale!,
    tensorScale: tensorScale!,
  };
}
