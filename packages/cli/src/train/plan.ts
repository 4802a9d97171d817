/** The plan of a run from its options: what `weft train` runs is what the commands that look at plans show. */
import { type Problem, userProblem } from "@weft/dsl";
import type { Qwen3Config, TrainingOptions } from "@weft/qwen3";
import type { TrainFlags } from "../commands/train.ts";
import type { TrainingPlanFlags } from "../commands/training-options.ts";
import { refuse } from "../terminal/refuse.ts";
import { quantizedOf } from "./formats.ts";
import { samplePrograms } from "./sample.ts";
import type { PlanSource } from "./source.ts";
import { trainedOf } from "./trained.ts";

type Flags = TrainingPlanFlags & Pick<TrainFlags, "sampleEvery" | "gpuLimitGb" | "seed">;

/** Options of a plan that exclude or need each other. */
export function planProblems(flags: TrainingPlanFlags): Problem[] {
  const problems: Problem[] = [];
  const require = (holds: boolean, source: string, requirement: string, remedy: string) => {
    if (!holds) problems.push(userProblem(source, requirement, { remedy }));
  };
  const { lora, loraAlpha, loraTargets, weights, moments, optimizer } = flags;
  for (const [flag, given] of [
    ["--lora-alpha", loraAlpha],
    ["--lora-targets", loraTargets],
  ] as const)
    require(given === undefined || lora !== undefined, flag, "needs adapters", "add --lora RANK");
  const isMaster = lora === undefined || weights !== "bf16";
  require(isMaster, "--weights", "must be f32 with --lora", "leave it out: adapters are small");
  const hasMoments = moments === "f32" || optimizer === "adamw";
  const remedy = "sgd has momentum in f32: leave it out";
  require(hasMoments, "--moments", "goes with --optimizer adamw only", remedy);
  return problems;
}

/** Tokens that see each other. */
export function lengthOf({ sequence, lastLayers }: TrainingPlanFlags, config: Qwen3Config): number {
  if (lastLayers !== undefined && lastLayers > config.layers) {
    refuse("--last-layers", `must be at most the ${config.layers} layers of the model`, {
      given: String(lastLayers),
    });
  }
  if (sequence === undefined) return Math.min(1024, config.maxPositions);
  if (sequence <= config.maxPositions) return sequence;
  return refuse("--sequence", `must fit into the ${config.maxPositions} positions of the model`, {
    given: String(sequence),
    remedy: "give a shorter one",
  });
}

/** @param sequence tokens that see each other, as `lengthOf` gives them */
export function trainingOptions(flags: Flags, source: PlanSource, sequence: number): TrainingOptions {
  const { optimizer, moments, batch, accumulate, dtype, gpuLimitGb, recompute, activationBudget } = flags;
  return {
    sequence: sequence * batch,
    policy: dtype,
    rule: optimizer,
    ...(moments === "f32" ? {} : { moments }),
    trainedDtype: flags.weights,
    ...quantizedOf(flags, source),
    ...samplePrograms(flags, sequence),
    programs: [...(accumulate === 1 ? (["train"] as const) : (["accumulate", "update"] as const)), "loss"],
    ...trainedOf(flags, source.config),
    ...(gpuLimitGb === undefined ? {} : { memoryLimitBytes: Math.floor(gpuLimitGb * 1e9) }),
    ...(recompute === undefined ? {} : { recompute }),
    ...(activationBudget === undefined ? {} : { activationBudget }),
  };
}
