/** What a run trains: everything, the last layers, or adapters. */
import { type AdapterOptions, adapterOf, type Qwen3Config, type TrainingOptions } from "@weft/qwen3";
import type { TrainFlags } from "../commands/train.ts";
import { refuse } from "../terminal/refuse.ts";

type Flags = Pick<TrainFlags, "lora" | "loraAlpha" | "loraTargets" | "lastLayers" | "seed">;

/** @throws WeftError for a rank or targets that do not fit the model */
export function trainedOf(
  { lora: rank, loraAlpha, loraTargets, lastLayers, seed }: Flags,
  config: Qwen3Config,
): Pick<TrainingOptions, "trainable" | "lora"> {
  const first = config.layers - (lastLayers ?? config.layers);
  const isLate = (name: string) => Number(/^model\.layers\.(\d+)\./.exec(name)?.[1] ?? -1) >= first;
  if (rank === undefined) return lastLayers === undefined ? {} : { trainable: isLate };
  const options: AdapterOptions = {
    rank,
    ...(loraAlpha === undefined ? {} : { alpha: loraAlpha }),
    ...(loraTargets === undefined ? {} : { targets: loraTargets }),
  };
  if (lastLayers === undefined) return { lora: { ...options, seed } };
  const targets = adapterOf(config, options).linears.flatMap(({ path }) => (isLate(path) ? [path] : []));
  if (targets.length === 0)
    refuse("--lora-targets", `must match a linear of the last ${lastLayers} layers`, {
      given: loraTargets?.join(","),
      remedy: "name others, or raise --last-layers",
    });
  return { lora: { ...options, targets, seed } };
}
