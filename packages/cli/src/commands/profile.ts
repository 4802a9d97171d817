import type { ShareKey } from "@weft/runtime";
import { Command, Option } from "commander";
import {
  activationsOption,
  adapterOption,
  capacityOption,
  chunkOption,
  deviceOption,
  dtypeOption,
  exportOption,
  fourOverSixOption,
  fp4Option,
  gpuLimitOption,
  integer,
  jsonOption,
  leadOption,
  type ModelOptions,
  most,
  positive,
  quantizeOption,
  rescoreOption,
  type TargetOptions,
  threadsOption,
} from "./options.ts";

export interface ProfileOptions extends TargetOptions, ModelOptions {
  readonly program?: string;
  readonly by: ShareKey;
  readonly repeat: number;
  readonly promptTokens?: number;
  readonly position?: number;
  readonly train?: boolean;
  readonly sequence?: number;
  readonly bandwidth?: number;
  readonly arithmetic?: number;
  readonly trace?: string;
  readonly out?: string;
  readonly json?: boolean;
}

const examples = `
A model runs with the weights of its checkpoint: a prefill of --prompt-tokens, and a decode step behind --position
tokens. A block or a graph of a file runs at the sizes of --lead, with weights and inputs drawn at random from a seed.
With --train it is a training step of a model, or of a config.json with random weights, at rates of 0.

Times are medians of each step over the repeats; the first run is not counted. Bytes and operations are those of the
cost model: above 100 % of the roofline, what was read lay in caches. "balance" is the mean time that threads computed
over that of the slowest one: at 50 %, one of two threads did nothing but wait.

Examples:
  $ weft profile models/Qwen3-0.6B --program decode --position 1024 --by block
  $ weft profile my-block.ts --lead seq=256 --trace trace.json
  $ weft profile models/Qwen3-0.6B --out times.json && weft inspect models/Qwen3-0.6B --profile times.json
  $ weft profile models/Qwen3-0.6B --train --sequence 512 --repeat 3`;

export function profileCommand(): Command {
  return new Command("profile")
    .description("run a plan and measure each step: time, rates, share of what the machine can do")
    .argument(
      "<TARGET>",
      "model directory, or a file that exports a block or a graph; with --train also a config.json",
    )
    .option("--program <NAME>", "of a model: prefill or decode only")
    .addOption(
      new Option("--by <WHAT>", "a row for each step, kernel or block")
        .choices(["step", "kernel", "block"])
        .default("kernel"),
    )
    .addOption(new Option("--repeat <N>", "measured runs").argParser(integer(1, 1000)).default(5))
    .addOption(
      new Option(
        "--prompt-tokens <N>",
        "of a model: tokens to prefill (default: 128, or as many as fit)",
      ).argParser(integer(1, most)),
    )
    .addOption(
      new Option(
        "--position <N>",
        "of a model: tokens in front of the one decoded (default: --prompt-tokens)",
      ).argParser(integer(0, most)),
    )
    .option("--train", "a training step of a model directory or a config.json")
    .addOption(
      new Option(
        "--sequence <N>",
        "with --train: tokens of the step (default: 256, or as many as fit)",
      ).argParser(integer(1, most)),
    )
    .option(
      "--trace <FILE>",
      "write one run as a trace for Perfetto or chrome://tracing: a row for each thread or stream",
    )
    .option("--out <FILE>", "write the times for weft inspect TARGET --profile FILE")
    .addOption(
      new Option("--bandwidth <N>", "GB/s of memory (default: measured on a CPU; 3350 for CUDA)").argParser(
        positive,
      ),
    )
    .addOption(
      new Option("--arithmetic <N>", "TFLOP/s (default: measured on a CPU, in f32; 989 for CUDA)").argParser(
        positive,
      ),
    )
    .addOption(deviceOption())
    .addOption(threadsOption())
    .addOption(gpuLimitOption())
    .addOption(exportOption())
    .addOption(leadOption())
    .addOption(dtypeOption())
    .addOption(quantizeOption())
    .addOption(fourOverSixOption())
    .addOption(activationsOption())
    .addOption(rescoreOption())
    .addOption(fp4Option())
    .addOption(adapterOption())
    .addOption(capacityOption())
    .addOption(chunkOption())
    .addOption(jsonOption("the figures"))
    .addHelpText("after", examples)
    .action(async (target: string, options: ProfileOptions) => {
      const { profile } = await import("../actions/profile.ts");
      await profile(target, options);
    });
}
