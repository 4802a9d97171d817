import { Command, Option } from "commander";

export interface MergeFlags {
  readonly out?: string;
}

const examples = `
Each weight that has an adapter becomes W + (alpha / rank) B A, in its own dtype; everything else is copied. ADAPTER has
adapter_config.json and adapter_model.safetensors, as PEFT writes them: weft train --adapter-only does, and so is every
checkpoint of a run with --lora.

Examples:
  $ weft merge models/Qwen3-0.6B runs/chats/adapter --out models/chats
  $ weft chat models/chats`;

export function mergeCommand(): Command {
  return new Command("merge")
    .description("add LoRA adapters to the weights of a model")
    .argument("<MODEL>", "directory of the checkpoint that the adapters belong to")
    .argument("<ADAPTER>", "directory of the adapters")
    .addOption(new Option("--out <DIR>", "directory of the merged model"))
    .addHelpText("after", examples)
    .action(async (model: string, adapter: string, options: MergeFlags) => {
      const { merge } = await import("../actions/merge.ts");
      await merge(model, adapter, options);
    });
}
