/** Opens a MODEL as every command that runs one does it: options checked, progress shown. */
import { type OpenOptions, openQwen3, type Qwen3, type SamplerOptions } from "@weft/qwen3";
import type { SamplingFlags } from "../commands/generate.ts";
import type { ModelOptions } from "../commands/options.ts";
import { interruption } from "../terminal/interrupt.ts";
import { Progress } from "../terminal/progress.ts";
import { refuse } from "../terminal/refuse.ts";

const stages = ["checkpoint", "compile", "quantize", "load", "tokenizer", "ready"] as const;
const doing = { quantize: "quantising weights, %", load: "loading weights, %" };

export async function openModel(
  directory: string,
  {
    device,
    gpuLimitGb,
    threads,
    dtype,
    capacity,
    chunk,
    adapter,
    quantize,
    fourOverSix,
    activations,
    rescore,
    fp4,
  }: ModelOptions,
  more: Pick<OpenOptions, "logits" | "observe" | "withTokenizer"> = {},
): Promise<Qwen3> {
  const memoryLimitBytes = gpuLimitOf({ device, gpuLimitGb });
  const progress = new Progress();
  try {
    const model = await openQwen3(directory, {
      device,
      memoryLimitBytes,
      threads,
      dtype,
      capacity,
      chunk,
      adapter,
      quantize,
      fourOverSix,
      activations,
      rescore,
      fp4,
      ...more,
      onProgress: ({ stage, fraction }) => {
        if (fraction === undefined || !(stage in doing))
          progress.update(`loading (${stage})`, stages.indexOf(stage), stages.length - 1);
        else progress.update(doing[stage as keyof typeof doing], Math.round(100 * fraction), 100);
      },
    });
    if (interruption.aborted) {
      model[Symbol.dispose]();
      interruption.throwIfAborted();
    }
    return model;
  } finally {
    progress.clear();
  }
}

/** Bytes that may be taken of a GPU; undefined for no limit. */
export function gpuLimitOf({
  device,
  gpuLimitGb,
}: Pick<ModelOptions, "device" | "gpuLimitGb">): number | undefined {
  if (gpuLimitGb === undefined) return undefined;
  if (device !== "cpu") return Math.floor(gpuLimitGb * 1e9);
  return refuse("--gpu-limit-gb", "must go with a GPU", {
    given: "--device cpu",
    remedy: "add --device cuda, or leave it out",
  });
}

/** The sampling options among a command's flags; what is undefined comes from the checkpoint. */
export function samplingOf(flags: SamplingFlags): SamplerOptions {
  const { temperature, topK, topP, minP, repetitionPenalty, seed } = flags;
  return { temperature, topK, topP, minP, repetitionPenalty, seed };
}
