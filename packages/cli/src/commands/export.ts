import { Command, Option } from "commander";

export interface ExportFlags {
  readonly onnx?: string;
  readonly externalData?: boolean;
}

const examples = `
The ONNX model is one graph for prefill and decode, with standard operators only. It takes input_ids, int64
[1, sequence_length], and for each layer N past_key_values.N.key and .value, float32 [1, KV heads, past_sequence_length,
head dim]; it gives logits, float32 [1, sequence_length, vocabulary], and present.N.key and .value, which are the next
run's past. The first run has a past of length 0. Weights stay as they are stored; products are computed in float32.

Examples:
  $ weft export models/Qwen3-0.6B --onnx model.onnx
  $ weft export models/Qwen3-0.6B --onnx model.onnx --external-data`;

export function exportCommand(): Command {
  return new Command("export")
    .description("write a model for other runtimes")
    .argument("<MODEL>", "directory of the checkpoint")
    .addOption(new Option("--onnx <FILE>", "write the inference graph with its weights as an ONNX model"))
    .addOption(new Option("--external-data", "weights in FILE.data, as always above 2 GB"))
    .addHelpText("after", examples)
    .action(async (model: string, options: ExportFlags) => {
      const { exportModel } = await import("../actions/export.ts");
      await exportModel(model, options);
    });
}
