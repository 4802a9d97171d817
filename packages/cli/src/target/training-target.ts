/** The plan that `weft train` would run on a TARGET, without data, a device or a run. */
import type { FormatRule } from "@weft/qwen3";
import { compileTrainingModel, trainingWeights, unfilledWeights } from "@weft/qwen3";
import type { TargetOptions } from "../commands/options.ts";
import {
  type TrainingPlanFlags,
  trainingDefaults,
  trainingFlagNames,
  trainingOption,
} from "../commands/training-options.ts";
import { refuse, refuseAll } from "../terminal/refuse.ts";
import { checkFormats } from "../train/formats.ts";
import { lengthOf, planProblems, trainingOptions } from "../train/plan.ts";
import { checkpointSource, type PlanSource } from "../train/source.ts";
import type { CompiledTarget } from "./compile-target.ts";
import { hasWeights, type ModelTarget, remarkNoWeights } from "./model-target.ts";

/** The options of `weft train` that a command for plans was given, the others by their defaults. */
export function trainingFlags(options: TargetOptions): TrainingPlanFlags {
  const { dtype, quantize, ...given } = options;
  const named = Object.fromEntries(
    Object.keys(trainingOption).flatMap((key) => {
      const value = given[key as keyof typeof trainingOption];
      return value === undefined ? [] : [[key, value]];
    }),
  );
  return {
    ...trainingDefaults,
    ...named,
    ...(dtype === undefined ? {} : { dtype }),
    ...(quantize === undefined ? {} : { quantize: formatOf(quantize) }),
  };
}

/** Training quantises the linears of all layers or none. */
function formatOf(rules: readonly FormatRule[]): "nvfp4" {
  const [rule, ...more] = rules;
  if (rule?.format === "nvfp4" && rule.pattern === "model.layers.*" && more.length === 0) return "nvfp4";
  return refuse("--quantize", "must be nvfp4 with --train, which takes all linears of the layers", {
    given: rules.map(({ pattern, format }) => `${pattern}=${format}`).join(", "),
    remedy: "give --quantize nvfp4, or leave it out",
  });
}

/** @throws WeftError for options of training without `--train` */
export function refuseTrainingOptions(options: TargetOptions): void {
  for (const [key, flag] of Object.entries(trainingFlagNames))
    if (options[key as keyof typeof trainingOption] !== undefined)
      refuse(flag, "goes with --train", { remedy: "add --train, or leave it out" });
}

/** @param record whether graphs of the passes are kept, for whoever shows them */
export function compileTrainingTarget(
  target: ModelTarget,
  options: TargetOptions,
  record: boolean,
): CompiledTarget {
  const flags = trainingFlags(options);
  refuseAll(planProblems(flags));
  const source = planSource(target, flags);
  checkFormats(flags, source);
  const sequence = lengthOf(flags, source.config);
  const compiled = compileTrainingModel(source.config, source.toPredict, {
    ...trainingOptions({ ...flags, seed: 0 }, source, sequence),
    record,
  });
  return { compiled, weights: trainingWeights(source.toPredict), training: flags };
}

/** A checkpoint, or where there is only a configuration, weights as training from nothing begins with. */
function planSource(target: ModelTarget, flags: TrainingPlanFlags): PlanSource {
  if (hasWeights(target)) return checkpointSource(target.directory, flags);
  remarkNoWeights(target, "f32");
  const { config } = target;
  return { config, toPredict: unfilledWeights(config) };
}
