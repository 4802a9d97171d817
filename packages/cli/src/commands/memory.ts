import { Command } from "commander";
import {
  activationsOption,
  capacityOption,
  chunkOption,
  dtypeOption,
  exportOption,
  jsonOption,
  leadOption,
  quantizeOption,
  rescoreOption,
  type TargetOptions,
  threadsOption,
} from "./options.ts";
import { addTrainingOptions } from "./training-options.ts";

export interface MemoryOptions extends TargetOptions {
  readonly threads?: number;
  readonly json?: boolean;
}

const examples = `
Nothing is run or loaded: the numbers are those of the plan, and the runtime allocates exactly these.

Examples:
  $ weft memory models/Qwen3-4B --capacity 8192 --dtype bf16
  $ weft memory models/Qwen3-4B --train --lora 16 --quantize nvfp4 --dtype bf16
  $ weft memory my-block.ts --lead seq=1024 --json`;

export function memoryCommand(): Command {
  return addTrainingOptions(
    new Command("memory")
      .description("weights, KV cache, activations and peak, before anything runs")
      .argument("<TARGET>", "model directory or its config.json, or a file that exports a block or a graph")
      .addOption(capacityOption())
      .addOption(chunkOption())
      .addOption(threadsOption())
      .addOption(dtypeOption())
      .addOption(quantizeOption())
      .addOption(activationsOption())
      .addOption(rescoreOption())
      .addOption(exportOption())
      .addOption(leadOption())
      .addOption(jsonOption("the numbers, in bytes,"))
      .addHelpText("after", examples)
      .action(async (target: string, options: MemoryOptions) => {
        const { memory } = await import("../actions/memory.ts");
        await memory(target, options);
      }),
  );
}
