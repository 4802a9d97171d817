/** Adapter directories: what PEFT writes is read, and what cannot be computed is refused with all that is wrong. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  adapterConfigText,
  adapterOf,
  mergedModel,
  openAdapter,
  readCheckpointWeights,
  storedAdapterTensors,
  type TensorToWrite,
  targetModules,
  writeSafetensors,
} from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { fixtures, inDirectory, left, right } from "../weights/files.ts";

const test = suite("adapter files");

const tiny = join(fixtures, "tiny");
const { config, weights } = right(readCheckpointWeights(tiny));
const adapter = adapterOf(config, { rank: 2, alpha: 4, targets: ["k_proj"] });
const path = "base_model.model.model.layers.0.self_attn.k_proj";

const tensorsOf = (): TensorToWrite[] =>
  storedAdapterTensors(adapter).map(({ name, shape }) => ({
    name,
    shape,
    dtype: "F32",
    data: new Float32Array(shape[0]! * shape[1]!).fill(0.5),
  }));

function write(
  directory: string,
  { tensors = tensorsOf(), changes = {} }: { tensors?: TensorToWrite[]; changes?: object } = {},
): string {
  const content = JSON.parse(adapterConfigText(config, adapter, "tiny")) as object;
  writeFileSync(join(directory, "adapter_config.json"), JSON.stringify({ ...content, ...changes }));
  right(writeSafetensors(join(directory, "adapter_model.safetensors"), tensors));
  return directory;
}

test("shapes and names are PEFT's; which linears have adapters is told by the tensors", () =>
  inDirectory((directory) => {
    assert.equal(storedAdapterTensors(adapter).slice(0, 2), [
      { name: `${path}.lora_A.weight`, shape: [2, 64] },
      { name: `${path}.lora_B.weight`, shape: [32, 2] },
    ]);
    const opened = right(
      openAdapter(write(directory, { changes: { target_modules: "all-linear" } }), config),
    );
    assert.equal(opened.adapter, adapter);
    const name = "model.layers.1.self_attn.k_proj.lora_B.weight";
    assert.equal(opened.weights[name]!.shape, [2, 16, 2]);
    assert.equal(opened.values(name), new Float32Array(64).fill(0.5));
    // Rank-stabilised: 4 / sqrt(2) in place of 4 / 2.
    const stable = right(openAdapter(write(directory, { changes: { use_rslora: true } }), config));
    assert.ok(Math.abs(stable.adapter.alpha / 2 - 4 / Math.SQRT2) < 1e-12);
  }));

test("targets are told by the ends of their paths where these mean no other linear", () => {
  const modules = (...targets: string[]) => targetModules(config, adapterOf(config, { rank: 2, targets }));
  assert.equal(modules("model.layers.*.mlp.*"), ["gate_proj", "up_proj", "down_proj"]);
  assert.equal(modules("layers.1.mlp.up_proj"), ["model.layers.1.mlp.up_proj"]);
});

test("what is not supported is refused, all of it", () =>
  inDirectory((directory) => {
    const changes = {
      use_dora: true,
      bias: "all",
      modules_to_save: ["lm_head"],
      rank_pattern: { q_proj: 4 },
    };
    const file = join(directory, "adapter_config.json");
    const end = "merge the adapter with the program that trained it";
    assert.equal(left(openAdapter(write(directory, { changes }), config)), [
      `unsupported: [${file}] bias must be none; given "all"; ${end}`,
      `unsupported: [${file}] use_dora must be without DoRA; given true; ${end}`,
      `unsupported: [${file}] modules_to_save must be empty; given ["lm_head"]; ${end}`,
      `unsupported: [${file}] rank_pattern must be empty; given {"q_proj":4}; ${end}`,
    ]);
    assert.match(
      left(openAdapter(write(directory, { changes: { r: "8" } }), config))[0]!,
      /r and lora_alpha must be numbers; given "8" and 4/,
    );
    assert.match(
      left(openAdapter(write(directory, { changes: { r: 0 } }), config))[0]!,
      /the rank must be an integer of at least 1; given 0/,
    );
  }));

test("tensors that are foreign, absent, of another shape or of another model are named", () =>
  inDirectory((directory) => {
    const refused = (change: (tensors: TensorToWrite[]) => TensorToWrite[], changes = {}) =>
      left(openAdapter(write(directory, { tensors: change(tensorsOf()), changes }), config));
    const file = join(directory, "adapter_model.safetensors");
    const other = (name: string): TensorToWrite => ({
      name,
      shape: [1],
      dtype: "F32",
      data: new Float32Array(1),
    });
    assert.equal(
      refused((tensors) => [...tensors, other("base_model.model.lm_head.weight")]),
      [
        `unsupported: [${file}] must be the A or B of a linear, PATH.lora_A.weight or PATH.lora_B.weight; at base_model.model.lm_head.weight`,
      ],
    );
    assert.match(
      refused((tensors) => tensors.slice(1))[0]!,
      /no such tensor; at .*layers\.0\..*lora_A\.weight;/,
    );
    assert.match(refused((tensors) => tensors, { r: 4 })[0]!, /shape \[4, 64\]; given \[2, 64\]; at/);
    assert.match(
      refused((tensors) =>
        tensors.map((one) => ({ ...one, name: one.name.replace("layers.1", "layers.7") })),
      )[0]!,
      /a target must match a linear; given "model\.layers\.7\.self_attn\.k_proj"; did you mean/,
    );
  }));

test("files that are not there", () =>
  inDirectory((directory) => {
    const nowhere = join(directory, "nowhere");
    assert.equal(left(openAdapter(nowhere, config)), [
      `[${nowhere}] must exist; given no such directory; check the path of the adapter`,
    ]);
    rmSync(join(write(directory), "adapter_model.safetensors"));
    writeFileSync(join(directory, "adapter_model.bin"), "");
    assert.equal(left(openAdapter(directory, config)), [
      `[${directory}] must hold adapter_model.safetensors; given adapter_model.bin; save the adapter as safetensors`,
    ]);
    rmSync(join(directory, "adapter_config.json"));
    assert.match(left(openAdapter(directory, config))[0]!, /adapter_config\.json\] must exist/);
  }));

test("a merged weight that is not finite is refused with its name", async () => {
  const model = mergedModel({
    config,
    weights: (name) => weights[name],
    adapter,
    values: (name) => new Float32Array(name.endsWith("lora_A.weight") ? 128 : 64).fill(1e30),
  });
  await model.readState("model.layers.0.self_attn.q_proj.weight");
  const message = await model.readState("model.layers.0.self_attn.k_proj.weight").then(
    () => "nothing was refused",
    (error: Error) => error.message,
  );
  assert.is(
    message,
    "[merge] the merged weight must be finite in f32; given element 0 is not; at model.layers.0.self_attn.k_proj.weight; check adapter and base for NaN",
  );
});

test.run();
