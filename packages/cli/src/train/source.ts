/** The model that is trained: a checkpoint, or a configuration with random weights and a tokenizer. */
import { copyFileSync, existsSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { orThrow } from "@weft/dsl";
import {
  checkTokenizerFits,
  type DataFormat,
  type FormatRule,
  filesBeside,
  initialWeights,
  openTokenizer,
  parseQwen3Config,
  type Qwen3Config,
  readCheckpointWeights,
  readQwen3Config,
  textsOf,
  trainTokenizer,
  unfilledWeights,
} from "@weft/qwen3";
import type { Weight } from "@weft/runtime";
import { makeFolder } from "@weft/runtime";
import type { TrainFlags } from "../commands/train.ts";
import { configObject } from "../model/config-object.ts";

/** What a plan is made for. */
export interface PlanSource {
  readonly config: Qwen3Config;
  /** To plan with: what is quantised at load has no values yet. */
  readonly toPredict: (name: string) => Weight | undefined;
}

export interface TrainSource extends PlanSource {
  readonly load: () => Promise<(name: string) => Weight | undefined>;
  /** Holds config.json and the tokenizer. */
  readonly directory: string;
}

const layersInBlocks: FormatRule = { pattern: "model.layers.*", format: "nvfp4" };

export const formatOf = ({ format }: TrainFlags): { readonly format?: DataFormat } =>
  format === "auto" ? {} : { format };

/** Whether a file is plain text, by what the options or its name say. */
export const isText = (file: string, { format }: Pick<TrainFlags, "format">): boolean =>
  format === "text" || (format === "auto" && /\.(txt|md)$/i.test(file));

export async function openSource(model: string | undefined, flags: TrainFlags): Promise<TrainSource> {
  if (model !== undefined) return checkpointSource(model, flags);
  if (flags.dryRun === true) return withoutText(flags);
  const directory = join(flags.out!, "base");
  makeFolder(directory);
  const given = configObject(flags.config!);
  const isKept = flags.resume === true && existsSync(join(directory, "tokenizer.json"));
  if (flags.trainTokenizer === undefined) {
    orThrow(openTokenizer(flags.tokenizer!));
    for (const file of filesBeside(flags.tokenizer!))
      if (basename(file) !== "config.json") copyFileSync(file, join(directory, basename(file)));
  } else if (!isKept) {
    const texts = textsOf(flags.data!, formatOf(flags).format);
    orThrow(await trainTokenizer({ texts, vocabSize: flags.trainTokenizer, directory }));
  }
  const tokenizer = orThrow(openTokenizer(directory));
  // Before ids of its special tokens are written into a config.json that has no place for them.
  if (flags.trainTokenizer === undefined && typeof given.vocab_size === "number")
    orThrow(checkTokenizerFits(tokenizer, given.vocab_size));
  const changed = {
    ...given,
    // A small text may give fewer tokens than were asked for.
    ...(flags.trainTokenizer === undefined ? {} : { vocab_size: tokenizer.idLimit }),
    ...(tokenizer.eosTokenId === undefined ? {} : { eos_token_id: tokenizer.eosTokenId }),
    ...(tokenizer.padTokenId === undefined ? {} : { bos_token_id: tokenizer.padTokenId }),
  };
  writeFileSync(join(directory, "config.json"), `${JSON.stringify(changed, undefined, 2)}\n`);
  const config = orThrow(readQwen3Config(directory));
  orThrow(checkTokenizerFits(tokenizer, config.vocabSize));
  return { config, ...randomWeights(config, given, flags), directory };
}

/** A model to go on from. */
export function checkpointSource(
  directory: string,
  { quantize, lora, fourOverSix = false }: Pick<TrainFlags, "quantize" | "lora" | "fourOverSix">,
): TrainSource {
  // Weights that learn begin plain, and are encoded by training itself; a base of adapters only lies there.
  const rules = quantize === undefined || lora === undefined ? [] : [layersInBlocks];
  const { config, toPredict, load } = orThrow(
    readCheckpointWeights(directory, { quantize: rules, fourOverSix }),
  );
  const loaded = async () => {
    const weights = await load();
    return (name: string) => weights[name];
  };
  return { config, toPredict, load: loaded, directory };
}

/** For questions about memory: nothing is written, and a learnt vocabulary is as large as it may become. */
function withoutText(flags: TrainFlags): TrainSource {
  const given = configObject(flags.config!);
  // A run takes the ids of special tokens from the tokenizer that it makes; those of config.json belong to another.
  const { eos_token_id: _, bos_token_id: __, pad_token_id: ___, ...others } = given;
  const learnt = { ...others, vocab_size: flags.trainTokenizer };
  const config = orThrow(
    parseQwen3Config(flags.trainTokenizer === undefined ? given : learnt, flags.config!),
  );
  return {
    config,
    ...randomWeights(config, given, flags),
    toPredict: unfilledWeights(config),
    directory: "",
  };
}

function randomWeights(
  config: Qwen3Config,
  given: Readonly<Record<string, unknown>>,
  { seed }: TrainFlags,
): Pick<TrainSource, "toPredict" | "load"> {
  const range = given.initializer_range;
  const weights = initialWeights(config, {
    seed,
    ...(typeof range === "number" && range > 0 ? { initializerRange: range } : {}),
  });
  return { toPredict: weights, load: async () => weights };
}
