/** Weights from a seed, in the form of a checkpoint: enough to run a model that has not learnt anything yet. */
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { orThrow } from "@weft/dsl";
import { initialWeights, parseQwen3Config, requiredTensors, writeSafetensorsStream } from "@weft/qwen3";
import model from "./model.ts";

/** Writes config.json and model.safetensors, one tensor at a time, and gives the directory. */
export async function writeRandomWeights(configFile: string, directory: string, seed = 1): Promise<string> {
  const config = orThrow(parseQwen3Config(JSON.parse(readFileSync(configFile, "utf8")), configFile));
  const weightOf = initialWeights(config, { seed, model });
  const tensors = requiredTensors(config, model).map(({ name, shape }) => ({
    name,
    shape,
    dtype: "F32" as const,
    pieces: () => {
      const { data } = weightOf(name)!;
      return [new Uint8Array(data.buffer, data.byteOffset, data.byteLength)];
    },
  }));
  mkdirSync(directory, { recursive: true });
  copyFileSync(configFile, join(directory, "config.json"));
  orThrow(await writeSafetensorsStream(join(directory, "model.safetensors"), tensors));
  return directory;
}
