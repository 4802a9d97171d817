import type { Clip } from "@weft/qwen3";
import { Command, Option } from "commander";
import {
  activationsOption,
  adapterOption,
  capacityOption,
  chunkOption,
  deviceOption,
  dtypeOption,
  fourOverSixOption,
  fp4Option,
  gpuLimitOption,
  integer,
  jsonOption,
  type ModelOptions,
  most,
  quantizeOption,
  real,
  rescoreOption,
  threadsOption,
  tokenIds,
} from "./options.ts";

/** Sampling as the user asks for it; what is left out is taken from the checkpoint's generation_config.json. */
export interface SamplingFlags {
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly seed?: number;
}

export interface GenerateOptions extends ModelOptions, SamplingFlags {
  readonly prompt?: string;
  readonly tokens?: readonly number[];
  readonly maxTokens: number;
  readonly stop?: readonly string[];
  readonly ignoreEos?: boolean;
  readonly clip?: Clip;
  readonly stream?: boolean;
  readonly timing?: boolean;
  readonly json?: boolean;
}

/** The options of sampling, for every command that generates. */
export function addSampling(command: Command): Command {
  return command
    .addOption(new Option("--temperature <T>", "0 takes the likeliest token").argParser(real))
    .addOption(
      new Option("--top-k <K>", "only the K likeliest tokens; 0 switches it off").argParser(integer(0, most)),
    )
    .addOption(new Option("--top-p <P>", "only the likeliest tokens up to a sum of P").argParser(real))
    .addOption(
      new Option("--min-p <P>", "only tokens with P times the likeliest one's probability").argParser(real),
    )
    .addOption(
      new Option("--repetition-penalty <R>", "above 1: repeated tokens are less likely").argParser(real),
    )
    .addOption(
      new Option("--seed <N>", "the same seed gives the same text").argParser(
        integer(0, Number.MAX_SAFE_INTEGER),
      ),
    );
}

export const stopOption = () =>
  new Option("--stop <TEXT>", "end before this text; repeat for several").argParser(
    (text: string, earlier: readonly string[] | undefined) => [...(earlier ?? []), text],
  );

/** @param byDefault what happens without the option */
export const clipOption = (byDefault: Clip) =>
  new Option(
    "--clip <HOW>",
    `where the context is full: end (error), or let the oldest tokens go (default: ${byDefault})`,
  ).choices(["error", "drop-oldest"] satisfies Clip[]);

const examples = `
The prompt is continued as it stands; for questions and answers see weft chat.
Sampling options that are left out come from the checkpoint's generation_config.json; without one the likeliest token is
taken. With --json: {"text", "tokens", "finishReason", "timing"}.

Examples:
  $ weft generate models/Qwen3-0.6B --prompt "Once upon a time" --max-tokens 64 --stream --timing
  $ weft generate models/Qwen3-0.6B --prompt "Once upon a time" --temperature 0.7 --top-p 0.9 --seed 7
  $ weft generate models/Qwen3-0.6B --tokens 9707,11 --max-tokens 16 --ignore-eos --json`;

export function generateCommand(): Command {
  const command = new Command("generate")
    .description("continue a text")
    .argument("<MODEL>", "directory of a checkpoint")
    .addOption(new Option("--prompt <TEXT>", "the text to continue").conflicts("tokens"))
    .addOption(new Option("--tokens <IDS>", "token ids to continue, separated by commas").argParser(tokenIds))
    .addOption(
      new Option("--max-tokens <N>", "most tokens to generate").argParser(integer(1, most)).default(128),
    );
  return addSampling(command)
    .addOption(stopOption())
    .option("--ignore-eos", "go on after an end-of-text token")
    .addOption(clipOption("error"))
    .option("--stream", "write text as it comes")
    .option("--timing", "tokens per second, time to the first token and memory, on stderr")
    .addOption(adapterOption())
    .addOption(quantizeOption())
    .addOption(fourOverSixOption())
    .addOption(activationsOption())
    .addOption(rescoreOption())
    .addOption(fp4Option())
    .addOption(dtypeOption())
    .addOption(deviceOption())
    .addOption(gpuLimitOption())
    .addOption(threadsOption())
    .addOption(capacityOption())
    .addOption(chunkOption())
    .addOption(jsonOption("the result"))
    .addHelpText("after", examples)
    .action(async (model: string, options: GenerateOptions) => {
      const { generate } = await import("../actions/generate.ts");
      await generate(model, options);
    });
}
