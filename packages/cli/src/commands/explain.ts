import { Command } from "commander";
import {
  activationsOption,
  capacityOption,
  chunkOption,
  deviceOption,
  dtypeOption,
  exportOption,
  fp4Option,
  jsonOption,
  leadOption,
  quantizeOption,
  rescoreOption,
  type TargetOptions,
} from "./options.ts";
import { addTrainingOptions } from "./training-options.ts";

export interface ExplainOptions extends TargetOptions {
  readonly program?: string;
  readonly device: "cpu" | "cuda" | "cuda-sim";
  readonly json?: boolean;
}

const examples = `
Of each kernel that computes a part of the block: what it was grown from, and for each value that it reads of another kernel
(from step) or gives to one (to step) why the two are not one: the rule that refused, and the bytes where these decided.

Examples:
  $ weft explain models/Qwen3-0.6B model.layers.0.self_attn.q_norm
  $ weft explain models/Qwen3-0.6B-nvfp4 model.layers.0.mlp --device cuda
  $ weft explain models/Qwen3-0.6B model.layers.0.mlp --train --program train
  $ weft explain my-block.ts mlp --json`;

export function explainCommand(): Command {
  return addTrainingOptions(
    new Command("explain")
      .description(
        "what became of a block: its kernels and why each ends where it does, buffers and bytes, the path of each linear, rules that worked on it and that refused",
      )
      .argument("<TARGET>", "model directory or its config.json, or a file that exports a block or a graph")
      .argument("<PATH>", "path of a block, like model.layers.0.mlp")
      .option("--program <NAME>", "of a model: prefill or decode only")
      .addOption(deviceOption())
      .addOption(exportOption())
      .addOption(leadOption())
      .addOption(dtypeOption())
      .addOption(quantizeOption())
      .addOption(activationsOption())
      .addOption(rescoreOption())
      .addOption(fp4Option())
      .addOption(capacityOption())
      .addOption(chunkOption())
      .addOption(jsonOption("the explanation"))
      .addHelpText("after", examples)
      .action(async (target: string, path: string, options: ExplainOptions) => {
        const { explain } = await import("../actions/explain.ts");
        await explain(target, path, options);
      }),
  );
}
