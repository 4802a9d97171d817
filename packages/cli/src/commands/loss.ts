import type { FormatRule } from "@weft/qwen3";
import { Command, Option } from "commander";
import {
  deviceOption,
  gpuLimitOption,
  jsonOption,
  quantizeOption,
  threadsOption,
  tokenIds,
} from "./options.ts";

export interface LossOptions {
  readonly tokens?: readonly number[];
  readonly grad?: string;
  readonly device: "cpu" | "cuda" | "cuda-sim";
  readonly dtype?: "f32" | "bf16";
  readonly quantize?: readonly FormatRule[];
  readonly gpuLimitGb?: number;
  readonly threads?: number;
  readonly json?: boolean;
}

const examples = `
The loss is the mean cross entropy of each next token. PATTERN is a name in which * stands for any characters; the whole
gradient of each parameter that it matches is given, flat. Both come from the plan that training runs, in f32 unless
--dtype says otherwise. The gradient of a weight in NVFP4 is that of its dequantised values, one number for each element.

With --json: {"loss": x, "gradients": {"model.norm.weight": [...], ...}}. Numbers have up to 9 digits, which name an f32
exactly.

Examples:
  $ weft loss models/Qwen3-0.6B --tokens 9707,11,1879
  $ weft loss models/Qwen3-0.6B --tokens 9707,11,1879 --grad 'model.layers.0.*norm.weight' --json
  $ weft loss models/Qwen3-0.6B --tokens 9707,11,1879 --quantize nvfp4`;

export function lossCommand(): Command {
  return new Command("loss")
    .description("loss and gradients of a token sequence")
    .argument("<MODEL>", "directory of a checkpoint")
    .addOption(new Option("--tokens <IDS>", "token ids, separated by commas").argParser(tokenIds))
    .addOption(new Option("--grad <PATTERN>", "parameters whose gradients to give"))
    .addOption(new Option("--dtype <DTYPE>", "what matmuls compute in").choices(["f32", "bf16"]))
    .addOption(quantizeOption())
    .addOption(deviceOption())
    .addOption(gpuLimitOption())
    .addOption(threadsOption())
    .addOption(jsonOption("the result"))
    .addHelpText("after", examples)
    .action(async (model: string, options: LossOptions) => {
      const { loss } = await import("../actions/loss.ts");
      await loss(model, options);
    });
}
