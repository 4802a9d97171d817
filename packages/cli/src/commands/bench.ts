import { Command, Option } from "commander";
import {
  activationsOption,
  chunkOption,
  deviceOption,
  dtypeOption,
  fourOverSixOption,
  gpuLimitOption,
  integer,
  jsonOption,
  type ModelOptions,
  most,
  quantizeOption,
  rescoreOption,
  threadsOption,
} from "./options.ts";

export interface BenchOptions extends ModelOptions {
  readonly promptTokens: number;
  readonly genTokens: number;
  readonly repeat: number;
  readonly json?: boolean;
}

const examples = `
Medians over the repeats; the first run is not counted. Bytes moved are those of the cost model: the least that memory
must deliver for one token.

Examples:
  $ weft bench models/Qwen3-0.6B
  $ weft bench models/Qwen3-0.6B --prompt-tokens 512 --gen-tokens 128 --threads 2 --repeat 5 --json`;

export function benchCommand(): Command {
  return new Command("bench")
    .description("measure prefill and decode")
    .argument("<MODEL>", "directory of a checkpoint")
    .addOption(
      new Option("--prompt-tokens <N>", "tokens to prefill").argParser(integer(1, most)).default(128),
    )
    .addOption(new Option("--gen-tokens <N>", "tokens to decode").argParser(integer(1, most)).default(32))
    .addOption(new Option("--repeat <N>", "measured runs").argParser(integer(1, 1000)).default(3))
    .addOption(quantizeOption())
    .addOption(fourOverSixOption())
    .addOption(activationsOption())
    .addOption(rescoreOption())
    .addOption(threadsOption())
    .addOption(dtypeOption())
    .addOption(deviceOption())
    .addOption(gpuLimitOption())
    .addOption(chunkOption())
    .addOption(jsonOption("the figures"))
    .addHelpText("after", examples)
    .action(async (model: string, options: BenchOptions) => {
      const { bench } = await import("../actions/bench.ts");
      await bench(model, options);
    });
}
