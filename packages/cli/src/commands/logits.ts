import { Command, Option } from "commander";
import {
  activationsOption,
  adapterOption,
  deviceOption,
  dtypeOption,
  fourOverSixOption,
  fp4Option,
  gpuLimitOption,
  jsonOption,
  type Mode,
  type ModelOptions,
  mode,
  quantizeOption,
  threadsOption,
  tokenIds,
} from "./options.ts";

export interface LogitsOptions extends ModelOptions {
  readonly tokens?: readonly number[];
  readonly mode: Mode;
  readonly hidden?: boolean;
  readonly json?: boolean;
}

const examples = `
With --json: {"tokens": [...], "logits": [[...] per position], "hidden": {"model.layers.0": [[...]], ...}}; "hidden" is
there with --hidden. Numbers have up to 9 digits, which name an f32 exactly. Without it: the likeliest tokens of each
position.

Examples:
  $ weft logits models/Qwen3-0.6B --tokens 9707,11,1879
  $ weft logits models/Qwen3-0.6B --tokens 9707,11,1879 --mode chunk:2 --hidden --json > logits.json`;

export function logitsCommand(): Command {
  return new Command("logits")
    .description("logits of every position of a token sequence")
    .argument("<MODEL>", "directory of a checkpoint")
    .addOption(new Option("--tokens <IDS>", "token ids, separated by commas").argParser(tokenIds))
    .addOption(
      new Option("--mode <MODE>", "how the tokens are fed: whole, step (one by one) or chunk:N")
        .argParser(mode)
        .default({ kind: "whole" }, "whole"),
    )
    .addOption(adapterOption())
    .addOption(quantizeOption())
    .addOption(fourOverSixOption())
    .addOption(activationsOption())
    .addOption(fp4Option())
    .addOption(dtypeOption())
    .addOption(deviceOption())
    .addOption(gpuLimitOption())
    .addOption(threadsOption())
    .option("--hidden", "also the residual stream after each layer")
    .addOption(jsonOption("the result"))
    .addHelpText("after", examples)
    .action(async (model: string, options: LogitsOptions) => {
      const { logits } = await import("../actions/logits.ts");
      await logits(model, options);
    });
}
