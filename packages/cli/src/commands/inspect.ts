import { Command, Option } from "commander";
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
  positive,
  quantizeOption,
  rescoreOption,
  type TargetOptions,
} from "./options.ts";
import { addTrainingOptions } from "./training-options.ts";

export interface InspectOptions extends TargetOptions {
  readonly out?: string;
  readonly device: "cpu" | "cuda" | "cuda-sim";
  readonly bandwidth?: number;
  readonly arithmetic?: number;
  readonly profile?: string;
  readonly json?: boolean;
}

const examples = `
One HTML file that opens from disk and needs no network: the block in ->> notation, the graph after every pass with what
the pass changed, kernels with their text, reasons and costs, and the memory over the steps. What is chosen in one column
is marked in all. Of a plan (weft dump TARGET --stage plan --format json) there are kernels and memory only.

Examples:
  $ weft inspect my-block.ts
  $ weft inspect models/Qwen3-0.6B --device cuda --out qwen3.html
  $ weft inspect config.json --train --dtype bf16 --out training.html
  $ weft inspect plan.json --bandwidth 40 --arithmetic 0.5`;

export function inspectCommand(): Command {
  return addTrainingOptions(
    new Command("inspect")
      .description("see everything that the compiler made of a block, on one page")
      .argument(
        "<TARGET>",
        "model directory or its config.json, file that exports a block or a graph, or a plan in JSON",
      )
      .option("--out <FILE>", "the page (default: NAME.inspect.html in this folder)")
      .addOption(deviceOption())
      .addOption(
        new Option(
          "--bandwidth <N>",
          "GB/s of memory, for the least time of each step (default: 3350 for CUDA, 40 for the CPU)",
        ).argParser(positive),
      )
      .addOption(
        new Option(
          "--arithmetic <N>",
          "TFLOP/s, for the least time of each step (default: 989 for CUDA, 0.5 for the CPU)",
        ).argParser(positive),
      )
      .option(
        "--profile <FILE>",
        "measured times of this plan's steps, as weft profile --out writes them: shown beside the least times",
      )
      .addOption(exportOption())
      .addOption(leadOption())
      .addOption(dtypeOption())
      .addOption(quantizeOption())
      .addOption(activationsOption())
      .addOption(rescoreOption())
      .addOption(fp4Option())
      .addOption(capacityOption())
      .addOption(chunkOption())
      .addOption(jsonOption("what the page shows"))
      .addHelpText("after", examples)
      .action(async (target: string, options: InspectOptions) => {
        const { inspect } = await import("../actions/inspect.ts");
        await inspect(target, options);
      }),
  );
}
