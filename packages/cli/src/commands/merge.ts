import { Command, Option } from "commander";

export interface MergeFlags {
  readonly out?: string;
  readonly export: "plain" | "compressed-tensors" | "modelopt";
  readonly fourOverSix?: boolean;
}

const examples = `
Each weight that has an adapter becomes W + (alpha / rank) B A, in its own dtype; everything else is copied. ADAPTER has
adapter_config.json and adapter_model.safetensors, as PEFT writes them: weft train --adapter-only does, and so is every
checkpoint of a run with --lora.

A weight in NVFP4 is dequantised before, and written as bf16, or as f32 where config.json says so. With --export
compressed-tensors or modelopt, the weights that were in NVFP4 are so again: encoded anew where they have an adapter, as
they were where they have none.

Examples:
  $ weft merge models/Qwen3-0.6B runs/chats/adapter --out models/chats
  $ weft chat models/chats
  $ weft merge models/Qwen3-0.6B-NVFP4 runs/chats/adapter --out models/small-chats --export compressed-tensors`;

export function mergeCommand(): Command {
  return new Command("merge")
    .description("add LoRA adapters to the weights of a model")
    .argument("<MODEL>", "directory of the checkpoint that the adapters belong to")
    .argument("<ADAPTER>", "directory of the adapters")
    .addOption(new Option("--out <DIR>", "directory of the merged model"))
    .addOption(
      new Option("--export <FORMAT>", "how weights are written that were in NVFP4")
        .choices(["plain", "compressed-tensors", "modelopt"])
        .default("plain"),
    )
    .addOption(new Option("--four-over-six", "with NVFP4: try two scales for each block that is encoded"))
    .addHelpText("after", examples)
    .action(async (model: string, adapter: string, options: MergeFlags) => {
      const { merge } = await import("../actions/merge.ts");
      await merge(model, adapter, options);
    });
}
