import { Command, Option } from "commander";
import {
  activationsOption,
  capacityOption,
  chunkOption,
  dtypeOption,
  exportOption,
  fp4Option,
  leadOption,
  quantizeOption,
  rescoreOption,
  type TargetOptions,
} from "./options.ts";
import { addTrainingOptions } from "./training-options.ts";

export const stages = ["expr", "graph", "fused", "plan", "memory", "kernels", "cuda"] as const;
export type Stage = (typeof stages)[number];
export const formats = ["text", "json", "dot", "mermaid", "ts"] as const;
export type Format = (typeof formats)[number];

export interface DumpOptions extends TargetOptions {
  readonly stage: Stage;
  readonly format: Format;
  readonly printAfter?: string;
  readonly program?: string;
  readonly fold: boolean;
}

const examples = `
Stages, in the order in which they arise: expr is the block in ->> notation, graph its operations, fused the groups that
become kernels, plan the steps with their costs, memory the life of every buffer, kernels what each one computes.
--format ts prints a graph as a TypeScript module that builds it again (implies --stage graph).

Examples:
  $ weft dump my-block.ts
  $ weft dump my-block.ts --stage graph --format mermaid
  $ weft dump models/Qwen3-0.6B --stage graph --print-after kvCache --program decode
  $ weft dump models/Qwen3-0.6B --program decode --format ts > graph.ts
  $ weft dump models/Qwen3-0.6B --stage plan --format json > plan.json
  $ weft dump models/Qwen3-0.6B --stage cuda --dtype bf16 > kernels.cu
  $ weft dump models/Qwen3-0.6B --train --batch 4 --stage plan --program train`;

export function dumpCommand(): Command {
  return addTrainingOptions(
    new Command("dump")
      .description("what the compiler makes of a block, stage by stage")
      .argument("<TARGET>", "model directory or its config.json, or a file that exports a block or a graph")
      .addOption(new Option("--stage <STAGE>", "what to print").choices(stages).default("expr"))
      .addOption(new Option("--format <FORMAT>", "how to print it").choices(formats).default("text"))
      .option("--print-after <PASS>", "the graph after this pass (implies --stage graph)")
      .option("--program <NAME>", "of a model: prefill or decode (default: both, or prefill for graphs)")
      .option("--no-fold", "print equal layers one by one")
      .addOption(exportOption())
      .addOption(leadOption())
      .addOption(dtypeOption())
      .addOption(quantizeOption())
      .addOption(activationsOption())
      .addOption(rescoreOption())
      .addOption(fp4Option())
      .addOption(capacityOption())
      .addOption(chunkOption())
      .addHelpText("after", examples)
      .action(async (target: string, options: DumpOptions, command: Command) => {
        const { dump } = await import("../actions/dump.ts");
        await dump(target, options, command.getOptionValueSource("stage") !== "default");
      }),
  );
}
