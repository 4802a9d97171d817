/** `weft export`: a checkpoint as a model for other runtimes. */
import { formatBytes } from "@weft/compiler";
import { orThrow } from "@weft/dsl";
import { exportOnnx } from "@weft/qwen3";
import type { ExportFlags } from "../commands/export.ts";
import { print } from "../terminal/output.ts";
import { refuse } from "../terminal/refuse.ts";

export async function exportModel(directory: string, { onnx, externalData }: ExportFlags): Promise<void> {
  if (onnx === undefined) refuse("export", "needs a file for the model", { remedy: "give --onnx FILE" });
  const placed = externalData === true ? { largestInline: 0 } : {};
  const { files, inputs, outputs, nodes, opset } = orThrow(
    await exportOnnx({ directory, file: onnx, ...placed }),
  );
  await print(
    [
      ...files.map(({ file, bytes }) => `${file}: ${formatBytes(bytes)}`),
      `${nodes} nodes of opset ${opset}`,
      `inputs: ${inputs.join(", ")}`,
      `outputs: ${outputs.join(", ")}`,
    ].join("\n"),
  );
}
