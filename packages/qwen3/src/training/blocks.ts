/** Weights under training that products read in NVFP4: which ones, their blocks on the device, and what files get of them. */
import { blocksName, encodeScaleName, type Plan } from "@weft/compiler";
import { nvfp4Block } from "@weft/dsl";
import type { Executable } from "@weft/runtime";
import type { Qwen3Config } from "../config/index.ts";
import { type Problem, userProblem, WeftError } from "../config/problems.ts";
import { requiredTensors } from "../inference/prepare.ts";
import { layersPath } from "../model/block.ts";
import type { Quantized } from "./compile.ts";

export interface QuantizeTraining {
  /** Which weights, by name. Default: all linears of the layers. */
  readonly weights?: (parameter: string) => boolean;
  /** Tries two scales for each block and takes the better one. Default false. */
  readonly fourOverSix?: boolean;
}

/** A weight's NVFP4 form as files have it, row by row. */
export interface TrainedBlocksBytes {
  /** [N, K / 2]: two codes a byte. */
  readonly codes: Uint8Array;
  /** [N, K / 16]: E4M3. */
  readonly scales: Uint8Array;
  /** Values are code x block scale / this. */
  readonly encodeScale: number;
}

export const isLayerLinear = (parameter: string): boolean =>
  parameter.startsWith(`${layersPath}.`) && parameter.endsWith("_proj.weight");

/**
 * What is read in blocks; undefined where nothing is.
 * @throws WeftError where that is no weight that is trained, or one whose rows are no whole blocks
 */
export function quantizedBy(
  config: Qwen3Config,
  quantize: QuantizeTraining | undefined,
  trainable: (parameter: string) => boolean,
): Quantized | undefined {
  if (quantize === undefined) return undefined;
  const { weights = isLayerLinear, fourOverSix = false } = quantize;
  const isQuantized = (name: string) => weights(name) && trainable(name);
  const tensors = requiredTensors(config).filter(({ name }) => isQuantized(name));
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
  if (tensors.length === 0) {
    problems.push(
      userProblem("training", "quantize must name a weight that is trained", {
        given: "none",
        remedy: "leave it out, or train linears of the layers",
      }),
    );
  }
  const [first, ...rest] = problems;
  if (first !== undefined) throw new WeftError([first, ...rest]);
  return (name) => (isQuantized(name) ? { fourOverSix } : undefined);
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

export async function readBlocks(executable: Executable, parameter: string): Promise<TrainedBlocksBytes> {
  const whole = (await executable.readState(blocksName(parameter))) as Uint8Array;
  const [encodeScale] = await executable.readState(encodeScaleName(parameter));
  // Eight bytes of codes, then one for their scale.
  const split = (whole.length / 9) * 8;
  return { codes: whole.subarray(0, split), scales: whole.subarray(split), encodeScale: encodeScale! };
}
