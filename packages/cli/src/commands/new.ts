import { Argument, Command, Option } from "commander";

export interface NewFlags {
  readonly config?: string;
  readonly out?: string;
}

const examples = `
The project has the model as source in src/model.ts, with the sizes of the configuration, a script that runs it with random
weights or a checkpoint, and a test of its graph. Cache, plan, devices and generation come from @weft/qwen3.

Examples:
  $ weft new qwen3 --config models/Qwen3-0.6B/config.json --out my-model
  $ cd my-model && npm test && npm start`;

export function newCommand(): Command {
  return new Command("new")
    .description("write a small project around a model that is yours to change")
    .addArgument(new Argument("<MODEL>", "which one to begin from").choices(["qwen3"]))
    .addOption(new Option("--config <FILE>", "config.json with the sizes"))
    .addOption(new Option("--out <DIR>", "directory of the project").default("my-qwen3"))
    .addHelpText("after", examples)
    .action(async (_model: string, options: NewFlags) => {
      const { newProject } = await import("../actions/new.ts");
      await newProject(options);
    });
}
