/** `weft merge`: a checkpoint and its adapters become an ordinary checkpoint. */
import { realpathSync } from "node:fs";
import { orThrow } from "@weft/dsl";
import { exportHuggingFace, filesBeside, mergedModel, openAdapter, readCheckpointWeights } from "@weft/qwen3";
import type { MergeFlags } from "../commands/merge.ts";
import { print } from "../terminal/output.ts";
import { refuse } from "../terminal/refuse.ts";

export async function merge(directory: string, adapterDirectory: string, flags: MergeFlags): Promise<void> {
  const { out, export: format, fourOverSix = false } = flags;
  if (out === undefined)
    refuse("merge", "needs a directory for the merged model", { remedy: "give --out DIR" });
  if (fourOverSix && format === "plain") {
    refuse("--four-over-six", "needs weights that are encoded", {
      remedy: "add --export compressed-tensors",
    });
  }
  const { config, load } = orThrow(readCheckpointWeights(directory));
  const weights = await load();
  const { adapter, values } = orThrow(openAdapter(adapterDirectory, config));
  for (const [what, source] of [
    ["the model", directory],
    ["the adapters", adapterDirectory],
  ] as const) {
    if (realPath(out) !== realPath(source)) continue;
    refuse("--out", `must be another directory than that of ${what}`, {
      given: out,
      remedy: "give a new one",
    });
  }
  const model = mergedModel({
    ...{ config, weights: (name) => weights[name], adapter, values },
    ...(format === "plain" ? {} : { format, fourOverSix }),
  });
  orThrow(await exportHuggingFace({ directory: out, model, copy: filesBeside(directory) }));
  await print(`merged ${adapter.linears.length} weights\nmodel: ${out}`);
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    // Not there yet, so it is no other one.
    return path;
  }
}
