import { Command } from "commander";
import { exportOption, jsonOption } from "./options.ts";

export interface SummaryOptions {
  readonly export?: string;
  readonly fold: boolean;
  readonly json?: boolean;
}

const examples = `
Examples:
  $ weft summary models/Qwen3-0.6B
  $ weft summary my-block.ts --export attention --json`;

export function summaryCommand(): Command {
  return new Command("summary")
    .description("per block: path, wires, parameters, bytes")
    .argument("<TARGET>", "model directory or its config.json, or a file that exports a block or a graph")
    .addOption(exportOption())
    .option("--no-fold", "list equal layers one by one")
    .addOption(jsonOption("the rows"))
    .addHelpText("after", examples)
    .action(async (target: string, options: SummaryOptions) => {
      const { summary } = await import("../actions/summary.ts");
      await summary(target, options);
    });
}
