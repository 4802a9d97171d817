import { Command, Option } from "commander";
import {
  activationsOption,
  capacityOption,
  chunkOption,
  dtypeOption,
  exportOption,
  fp4Option,
  jsonOption,
  leadOption,
  quantizeOption,
  rescoreOption,
  type TargetOptions,
} from "./options.ts";

export interface CompileOptions extends TargetOptions {
  readonly target: readonly string[];
  readonly out?: string;
  readonly compiler: "nvcc";
  readonly json?: boolean;
}

const names = (text: string, earlier: readonly string[] | undefined): readonly string[] => [
  ...(earlier ?? []),
  ...text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== ""),
];

const examples = `
The folder holds the plan and one image per target, each with its hash: a machine that runs it needs a driver, no
compiler. Targets are sm_80, sm_89, sm_90a, sm_100a, sm_120a and sm_121a. What was compiled before comes from the cache.

Examples:
  $ weft compile models/Qwen3-4B --target sm_90a --dtype bf16 --capacity 8192
  $ weft compile models/Qwen3-4B --target sm_80,sm_89 --target sm_90a --out compiled
  $ weft compile my-block.ts --target all --json`;

export function compileCommand(): Command {
  return new Command("compile")
    .description("CUDA kernels ahead of time, with registers, shared memory and spills of each")
    .argument("<MODEL>", "model directory or its config.json, or a file that exports a block or a graph")
    .addOption(
      new Option("--target <NAME>", "architecture, several with commas or repeated, or all")
        .argParser(names)
        .makeOptionMandatory(),
    )
    .option("--out <DIR>", "folder to write (default: the model's name with .compiled)")
    .addOption(new Option("--compiler <NAME>", "what compiles").choices(["nvcc"]).default("nvcc"))
    .addOption(capacityOption())
    .addOption(chunkOption())
    .addOption(dtypeOption())
    .addOption(quantizeOption())
    .addOption(activationsOption())
    .addOption(rescoreOption())
    .addOption(fp4Option())
    .addOption(exportOption())
    .addOption(leadOption())
    .addOption(jsonOption("files and resources"))
    .addHelpText("after", examples)
    .action(async (model: string, options: CompileOptions) => {
      const { compileModel } = await import("../actions/compile.ts");
      await compileModel(model, options);
    });
}
