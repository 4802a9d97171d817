/** What of a run is in NVFP4: what its checkpoint has so, what options ask for, and how the result is written. */
import { requiredTensors, type TrainingOptions } from "@weft/qwen3";
import type { TrainFlags } from "../commands/train.ts";
import { refuse } from "../terminal/refuse.ts";
import type { TrainSource } from "./source.ts";

type Flags = Pick<TrainFlags, "quantize" | "fourOverSix" | "lora" | "export">;
type Source = Pick<TrainSource, "config" | "toPredict">;

/** @throws WeftError for options that need weights in NVFP4 where there are none */
export function checkFormats(flags: Flags, source: Source): void {
  if (flags.quantize !== undefined || hasBlocks(source)) return;
  if (flags.fourOverSix !== undefined)
    refuse("--four-over-six", "needs weights in NVFP4", { remedy: "add --quantize nvfp4" });
  if (flags.export !== undefined && flags.export !== "plain") {
    refuse("--export", `of ${flags.export} needs weights in NVFP4`, {
      remedy: "add --quantize nvfp4, or run weft quantize on the plain model",
    });
  }
}

/** Which weights learn through NVFP4; a base of adapters is as it was read. */
export function quantizedOf(flags: Flags, { toPredict }: Source): Pick<TrainingOptions, "quantize"> {
  const { quantize, fourOverSix = false, lora } = flags;
  if (lora !== undefined) return {};
  if (quantize !== undefined) return { quantize: { fourOverSix } };
  // Without other options, what is stored in NVFP4 is trained so.
  if (!fourOverSix) return {};
  return { quantize: { weights: (name) => toPredict(name)?.dtype === "nvfp4", fourOverSix } };
}

/** Merging adapters into weights in NVFP4 and encoding them again loses some of what was learnt, so it must be asked for. */
export function exportFormat(flags: Flags, source: Source): NonNullable<TrainFlags["export"]> {
  const isTrainedSo = flags.lora === undefined && (flags.quantize !== undefined || hasBlocks(source));
  return flags.export ?? (isTrainedSo ? "compressed-tensors" : "plain");
}

const hasBlocks = ({ config, toPredict }: Source): boolean =>
  requiredTensors(config).some(({ name }) => toPredict(name)?.dtype === "nvfp4");
