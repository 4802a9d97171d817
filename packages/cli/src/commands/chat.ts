import type { Clip } from "@weft/qwen3";
import { Command, Option } from "commander";
import { addSampling, clipOption, type SamplingFlags, stopOption } from "./generate.ts";
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
  type ModelOptions,
  most,
  quantizeOption,
  rescoreOption,
  threadsOption,
} from "./options.ts";

export interface ChatOptions extends ModelOptions, SamplingFlags {
  readonly system?: string;
  readonly template?: string;
  readonly turns?: string;
  readonly log?: string;
  readonly replay?: string;
  readonly maxTokens: number;
  readonly stop?: readonly string[];
  readonly clip?: Clip;
}

const examples = `
Without --turns and --replay turns are read from the terminal, or line by line from a pipe; Ctrl-C or an empty end of
file ends the conversation. FILE of --turns: text with one user turn per line, or .jsonl with one
{"role": "user", "content": "..."} per line.
--log appends one JSON object per message with its timings. --replay sends the user turns of such a log again and says
whether the answers are equal; exit code 1 where they are not.

Examples:
  $ weft chat models/Qwen3-0.6B --system "You answer in one sentence."
  $ weft chat models/Qwen3-0.6B --turns questions.txt --log talk.jsonl --temperature 0
  $ weft chat models/Qwen3-0.6B --replay talk.jsonl`;

export function chatCommand(): Command {
  const command = new Command("chat")
    .description("talk with a model over several turns")
    .argument("<MODEL>", "directory of a checkpoint")
    .option("--system <TEXT>", "what the model is told before the first turn")
    .option("--template <NAME>", "a chat template of the checkpoint by its name, or chatml")
    .addOption(new Option("--turns <FILE>", "take the user's turns from a file").conflicts("replay"))
    .option("--log <FILE.jsonl>", "append every message to this file")
    .option("--replay <FILE.jsonl>", "send the turns of a log again and compare the answers")
    .addOption(
      new Option("--max-tokens <N>", "most tokens of one answer").argParser(integer(1, most)).default(1024),
    );
  return addSampling(command)
    .addOption(stopOption())
    .addOption(clipOption("drop-oldest"))
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
    .addHelpText("after", examples)
    .action(async (model: string, options: ChatOptions) => {
      const { chat } = await import("../actions/chat.ts");
      await chat(model, options);
    });
}
