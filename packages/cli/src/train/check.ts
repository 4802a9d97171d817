/** Options of a run that exclude or need each other, or that make no sense; all that is wrong at once. */
import { existsSync } from "node:fs";
import { type Problem, userProblem } from "@weft/dsl";
import type { TrainFlags } from "../commands/train.ts";
import { refuseAll } from "../terminal/refuse.ts";
import { planProblems } from "./plan.ts";
import { isText } from "./source.ts";

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
    require(tokenizers === 0, flags.tokenizer === undefined
      ? "--train-tokenizer"
      : "--tokenizer", "goes with --config only", "a MODEL has its own: leave it out");
  require(!(
    flags.steps !== undefined && flags.epochs !== undefined
  ), "--steps", "cannot be used with --epochs", "leave one out");
  require(!(fromNothing && flags.lastLayers !== undefined), "--last-layers", "needs a MODEL", "leave it out");
  require(!(fromNothing && flags.lora !== undefined), "--lora", "needs a MODEL", "leave it out");
  problems.push(...planProblems(flags));
  require(flags.adapterOnly === undefined ||
    flags.lora !== undefined, "--adapter-only", "needs adapters", "add --lora RANK");
  require(flags.gpuLimitGb === undefined ||
    flags.device !== "cpu", "--gpu-limit-gb", "must go with a GPU", "add --device cuda, or leave it out");
  const { momentum, optimizer } = flags;
  require(momentum === undefined ||
    optimizer === "sgd", "--momentum", "goes with --optimizer sgd only", "adamw has betas: leave it out");
  require(momentum === undefined ||
    (momentum >= 0 && momentum < 1), "--momentum", "must be at least 0 and below 1", "leave it out for 0.9");
  require(flags.weightDecay >= 0, "--weight-decay", "must be at least 0", "leave it out for 0.01");
  require(flags.evalShare >= 0 &&
    flags.evalShare < 1, "--eval-share", "must be at least 0 and below 1", "hold out 0.05, say");
  require(flags.evalEvery === undefined ||
    flags.evalShare > 0, "--eval-every", "needs documents that are held out", "add --eval-share 0.05, say");
  require(flags.warmup <=
    (flags.steps ??
      flags.warmup), "--warmup", `must be at most the ${flags.steps} steps`, "give fewer of them");
  require(!(
    flags.adapterOnly === true && flags.export !== undefined
  ), "--export", "says how the model is written, and --adapter-only writes none", "leave one of the two out");
  require(flags.textUnit === undefined ||
    flags.data === undefined ||
    flags.data.some((file) =>
      isText(file, flags),
    ), "--text-unit", "divides plain text only", "leave it out for JSONL and TSV");
  require(flags.longDocuments === undefined ||
    flags.packing ===
      "documents", "--long-documents", "goes with --packing documents only", "one text is cut anyway: leave it out");
  require((flags.sampleEvery === undefined) ===
    (flags.samplePrompt === undefined), "--sample-every", "goes with --sample-prompt", "give both, or none");
  for (const file of flags.data ?? [])
    require(existsSync(file), file, "must exist", "check the path of the data");
  refuseAll(problems);
}
