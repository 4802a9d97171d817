/** An adapter that PEFT wrote: its logits beside the weights and merged, and the same files when it is written again. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  adapterConfigText,
  exportHuggingFace,
  filesBeside,
  mergedModel,
  openAdapter,
  openCheckpoint,
  readCheckpointWeights,
  readTensorBytes,
  storedAdapterTensors,
  writeAdapter,
} from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { inDirectory, right } from "../qwen3/weights/files.ts";
import { largestDifference } from "../support/largest-difference.ts";
import { devicesHere, fixtures, openOn } from "../support/models.ts";

const test = suite("adapters of PEFT");

interface Told {
  readonly versions: Readonly<Record<string, string>>;
  readonly tokens: readonly number[];
  readonly logits: readonly (readonly number[])[];
  readonly mergedDifference: number;
}

const tolerance = 1e-4;
const base = join(fixtures, "tiny");
const directory = join(fixtures, "tiny-adapter");
const told = JSON.parse(readFileSync(join(directory, "peft.json"), "utf8")) as Told;

async function logitsOf(on: "cpu" | "cuda-sim" | "cuda", model: string, adapter?: string) {
  using opened = await openOn(on, model, { capacity: 16, logits: "all", adapter });
  const { outputs } = await opened.executable.run("prefill", {
    symbols: { seq: told.tokens.length, past: 0, dropped: 0 },
    inputs: { tokens: Int32Array.from(told.tokens) },
  });
  const width = opened.config.vocabSize;
  return told.tokens.map((_, at) => outputs.logits!.subarray(at * width, (at + 1) * width));
}

for (const on of await devicesHere()) {
  test(`beside the weights on ${on}: PEFT's logits`, async () => {
    assert.match(told.versions.peft!, /^\d+\.\d+/);
    assert.ok(largestDifference(await logitsOf(on, base, directory), told.logits) < tolerance);
    assert.ok(largestDifference(await logitsOf(on, base), told.logits) > 0.1);
  });
}

test("merged: PEFT's logits", () =>
  inDirectory(async (folder) => {
    const { config, weights } = right(readCheckpointWeights(base));
    const { adapter, values } = right(openAdapter(directory, config));
    const model = mergedModel({ config, weights: (name) => weights[name], adapter, values });
    right(await exportHuggingFace({ directory: folder, model, copy: filesBeside(base) }));
    assert.ok(told.mergedDifference < tolerance);
    assert.ok(largestDifference(await logitsOf("cpu", folder), told.logits) < tolerance);
  }));

test("written again: the tensors, and of adapter_config.json what PEFT has there", () =>
  inDirectory(async (folder) => {
    const { config } = right(readCheckpointWeights(base));
    const { adapter } = right(openAdapter(directory, config));
    const { tensors } = right(openCheckpoint(join(directory, "adapter_model.safetensors")));
    const parameters = storedAdapterTensors(adapter).map((one) => ({ ...one, dtype: "F32" as const }));
    right(
      await writeAdapter({
        directory: folder,
        model: {
          adapterConfig: adapterConfigText(config, adapter, "tiny"),
          parameters: () => parameters,
          readState: async (name) => readTensorBytes(tensors.get(name)!),
        },
      }),
    );
    const again = right(openCheckpoint(join(folder, "adapter_model.safetensors"))).tensors;
    assert.equal([...again.keys()].sort(), [...tensors.keys()].sort());
    for (const [name, entry] of again) {
      assert.equal(entry.shape, tensors.get(name)!.shape);
      assert.equal(readTensorBytes(entry), readTensorBytes(tensors.get(name)!));
    }
    const [ours, theirs] = [folder, directory].map((at) =>
      JSON.parse(readFileSync(join(at, "adapter_config.json"), "utf8")),
    );
    ours.target_modules.sort();
    for (const [key, value] of Object.entries(ours)) assert.equal(value, theirs[key], key);
    assert.is(Object.keys(ours).length, 14);
  }));

test.run();
