import { Command, Option } from "commander";

export interface QuantizeFlags {
  readonly format: "compressed-tensors" | "modelopt" | "dat";
  readonly out?: string;
  readonly fourOverSix?: boolean;
  readonly exclude?: readonly string[];
  readonly head?: boolean;
  readonly embedding?: boolean;
  readonly plainHead?: boolean;
  readonly json?: boolean;
}

const examples = `
NVFP4 takes 4.5 bits a weight: blocks of 16 codes share a scale. Linears of the blocks are quantised; head and embedding only
if asked for, norms never. A checkpoint that is quantised already only changes its format: codes and scales are taken as they
are, and nothing is quantised twice. MODEL may also be one weight file, with config.json beside it.

Formats:
  compressed-tensors  nvfp4-pack-quantized, as vLLM and transformers read it
  modelopt            as NVIDIA's ModelOpt exports it, with hf_quant_config.json
  dat                 a TorchSharp stream; it has no scale of a tensor, so small weights lose more

Examples:
  $ weft quantize models/Qwen3-0.6B --format compressed-tensors --out models/Qwen3-0.6B-nvfp4
  $ weft quantize models/Qwen3-0.6B --format modelopt --out models/small --four-over-six --exclude '*.down_proj'`;

const collect = (pattern: string, earlier: readonly string[] = []): readonly string[] => [
  ...earlier,
  pattern,
];

export function quantizeCommand(): Command {
  return new Command("quantize")
    .description("write the weights of a model in NVFP4")
    .argument("<MODEL>", "directory of the checkpoint")
    .addOption(
      new Option("--format <FORMAT>", "who reads it")
        .choices(["compressed-tensors", "modelopt", "dat"])
        .default("compressed-tensors"),
    )
    .addOption(new Option("--out <DIR>", "directory of the quantised model; it must not exist yet"))
    .addOption(new Option("--four-over-six", "take 4 as the largest code of a block where that is nearer"))
    .addOption(
      new Option(
        "--exclude <PATTERN>",
        "a linear that stays plain: a name, a name with wildcards, or re: and a regular expression; repeat for several",
      ).argParser(collect),
    )
    .addOption(new Option("--head", "quantise the head too; a tied one gets weights of its own"))
    .addOption(
      new Option("--embedding", "quantise the table of embeddings too, with the head that is tied to it"),
    )
    .addOption(
      new Option(
        "--plain-head",
        "with --head: keep it plain as well, so that its likeliest tokens are scored again; a tied one is kept as the table anyway",
      ),
    )
    .addOption(new Option("--json", "print the report as JSON"))
    .addHelpText("after", examples)
    .action(async (model: string, options: QuantizeFlags) => {
      const { quantize } = await import("../actions/quantize.ts");
      await quantize(model, options);
    });
}
