/** Options of a run that exclude or need each other, or that make no sense; all that is wrong at once. */
import { existsSync } from "node:fs";
import { type Problem, userProblem, WeftError } from "@weft/dsl";
import type { Qwen3Config } from "@weft/qwen3";
import type { TrainFlags } from "../commands/train.ts";
import { refuse } from "../terminal/refuse.ts";

export function checkFlags(model: string | undefined, flags: TrainFlags): void {
  const problems: Problem[] = [];
  const require = (holds: boolean, source: string, requirement: string, remedy: string) => {
    if (!holds) problems.push(userProblem(source, requirement, { remedy }));
  };
  const fromNothing = flags.config !== undefined;
  require(flags.data !== undefined, "train", "needs data", "give --data FILE");
  require(flags.out !== undefined, "train", "needs a directory for the run", "give --out DIR");
  require((model !== undefined) !==
    fromNothing, "train", "needs either a MODEL or --config", "give one of the two");
  const tokenizers = Number(flags.tokenizer !== undefined) + Number(flags.trainTokenizer !== undefined);
  if (fromNothing)
    require(tokenizers ===
      1, "--config", "needs one tokenizer", "give --train-tokenizer VOCAB or --tokenizer DIR");
  else
    require(tokenizers === 0, "--tokenizer", "goes with --config only", "a MODEL has its own: leave it out");
  require(!(
    flags.steps !== undefined && flags.epochs !== undefined
  ), "--steps", "cannot be used with --epochs", "leave one out");
  require(!(fromNothing && flags.lastLayers !== undefined), "--last-layers", "needs a MODEL", "leave it out");
  for (const [flag, given] of [
    ["--lora-alpha", flags.loraAlpha],
    ["--lora-targets", flags.loraTargets],
    ["--adapter-only", flags.adapterOnly],
  ] as const)
    require(given === undefined || flags.lora !== undefined, flag, "needs adapters", "add --lora RANK");
  require(!(fromNothing && flags.lora !== undefined), "--lora", "needs a MODEL", "leave it out");
  require(!(
    flags.lora !== undefined && flags.weights === "bf16"
  ), "--weights", "must be f32 with --lora", "leave it out: adapters are small");
  require(flags.gpuLimitGb === undefined ||
    flags.device !== "cpu", "--gpu-limit-gb", "must go with a GPU", "add --device cuda, or leave it out");
  const { momentum, optimizer } = flags;
  require(momentum === undefined ||
    optimizer === "sgd", "--momentum", "goes with --optimizer sgd only", "adamw has betas: leave it out");
  require(momentum === undefined ||
    (momentum >= 0 && momentum < 1), "--momentum", "must be at least 0 and below 1", "leave it out for 0.9");
  require(flags.moments === "f32" ||
    optimizer ===
      "adamw", "--moments", "goes with --optimizer adamw only", "sgd has momentum in f32: leave it out");
  require(flags.weightDecay >= 0, "--weight-decay", "must be at least 0", "leave it out for 0.01");
  require(flags.evalShare >= 0 &&
    flags.evalShare < 1, "--eval-share", "must be at least 0 and below 1", "hold out 0.05, say");
  require((flags.sampleEvery === undefined) ===
    (flags.samplePrompt === undefined), "--sample-every", "goes with --sample-prompt", "give both, or none");
  for (const file of flags.data ?? [])
    require(existsSync(file), file, "must exist", "check the path of the data");
  const [first, ...rest] = problems;
  if (first !== undefined) throw new WeftError([first, ...rest]);
}

/** Tokens that see each other. */
export function lengthOf({ sequence, lastLayers }: TrainFlags, config: Qwen3Config): number {
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
