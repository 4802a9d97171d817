/** A checkpoint in NVFP4 as a plain one with the same weights. */
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decodeNvfp4, orThrow } from "@weft/dsl";
import {
  openCheckpoint,
  type QuantizedLinear,
  readPart,
  readTensor,
  scaleCodesOf,
  storedWeights,
  type TensorToWrite,
  writeSafetensors,
} from "@weft/qwen3";

/** By the definition: code x block scale x tensor scale. */
async function decodedLinear(linear: QuantizedLinear): Promise<Float32Array> {
  const [codes, scales] = [await readPart(linear.codes), orThrow(await scaleCodesOf(linear))];
  return decodeNvfp4({ codes, scales }).map((value) => value * linear.tensorScale);
}

/** Writes it in F32 to a directory that is there, with its configuration and tokenizer. */
export async function takeApart(directory: string, target: string): Promise<void> {
  const { linears, plain } = orThrow(storedWeights(orThrow(openCheckpoint(directory))));
  const tensors: TensorToWrite[] = [];
  for (const entry of plain.values()) {
    tensors.push({ name: entry.name, dtype: "F32", shape: entry.shape, data: readTensor(entry) });
  }
  for (const linear of linears.values()) {
    const data = await decodedLinear(linear);
    tensors.push({ name: linear.name, dtype: "F32", shape: linear.shape, data });
  }
  orThrow(writeSafetensors(join(target, "model.safetensors"), tensors));
  const { quantization_config: _, ...config } = JSON.parse(
    readFileSync(join(directory, "config.json"), "utf8"),
  );
  const untied = linears.has("lm_head.weight") ? { tie_word_embeddings: false } : {};
  writeFileSync(join(target, "config.json"), JSON.stringify({ ...config, ...untied }));
  for (const file of ["tokenizer.json", "tokenizer_config.json"]) {
    copyFileSync(join(directory, file), join(target, file));
  }
}
