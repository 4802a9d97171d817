/** A trained model as a Hugging Face directory, and the parts of a checkpoint one by one. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  bfloat16ToFloat32,
  exportHuggingFace,
  filesBeside,
  float32ToBfloat16,
  openCheckpoint,
  openTrainingCheckpoint,
  prepareQwen3,
  readTensor,
  type StateTensor,
  saveCheckpoint,
  writeSafetensorsStream,
} from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { fixtures, inDirectory, right } from "../weights/files.ts";
import { sentences } from "./support.ts";

const test = suite("training export");
const tiny = join(fixtures, "tiny");

/** The tensors of a checkpoint on disk as a model would hand them out. */
function modelOf(directory: string) {
  const { tensors } = right(openCheckpoint(directory));
  const parameters = [...tensors.values()].map(
    ({ name, dtype, shape }): StateTensor => ({ name, dtype, shape }),
  );
  return {
    parameters: () => parameters,
    optimizerStates: () => [],
    readState: async (name: string) => {
      const entry = tensors.get(name)!;
      return new Uint8Array(readFileSync(entry.file).subarray(entry.begin, entry.end));
    },
  };
}

test("every tensor is exported, as trained or as bf16 or f32, beside config and tokenizer, and opens again", () =>
  inDirectory(async (folder) => {
    const model = modelOf(tiny);
    const copy = filesBeside(tiny);
    assert.equal(
      copy.map((file) => file.slice(tiny.length + 1)),
      ["config.json", "tokenizer.json", "tokenizer_config.json"],
    );
    for (const dtype of [undefined, "bf16", "f32"] as const) {
      const directory = join(folder, dtype ?? "same");
      right(await exportHuggingFace({ directory, model, copy, ...(dtype === undefined ? {} : { dtype }) }));
      assert.equal(readdirSync(directory).sort(), [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
      ]);
      const exported = right(openCheckpoint(directory));
      assert.equal(
        [...exported.tensors.keys()].sort(),
        model
          .parameters()
          .map(({ name }) => name)
          .sort(),
      );
      for (const [name, entry] of exported.tensors) {
        assert.is(entry.dtype, dtype === "bf16" ? "BF16" : "F32");
        const was = readTensor(right(openCheckpoint(tiny)).tensors.get(name)!);
        assert.equal(readTensor(entry), dtype === "bf16" ? bfloat16ToFloat32(float32ToBfloat16(was)) : was);
      }
      const config = JSON.parse(readFileSync(join(directory, "config.json"), "utf8"));
      assert.is(config.dtype ?? config.torch_dtype, dtype === "bf16" ? "bfloat16" : "float32");
      right(prepareQwen3(directory));
    }
  }));

test("bf16 weights are exported as f32 without loss", () =>
  inDirectory(async (folder) => {
    const tied = join(fixtures, "tiny-tied");
    right(
      await exportHuggingFace({
        directory: join(folder, "out"),
        model: modelOf(tied),
        copy: filesBeside(tied),
        dtype: "f32",
      }),
    );
    for (const [name, entry] of right(openCheckpoint(join(folder, "out"))).tensors) {
      assert.equal(readTensor(entry), readTensor(right(openCheckpoint(tied)).tensors.get(name)!));
    }
  }));

test("an export that cannot be written, or of a dtype that cannot be converted, says so", () =>
  inDirectory(async (folder) => {
    writeFileSync(join(folder, "file"), "");
    const options = { model: modelOf(tiny), copy: [] };
    const blocked = await exportHuggingFace({ ...options, directory: join(folder, "file") });
    assert.match(sentences(blocked, folder)[0]!, /^\[file\] must be writable; given EEXIST/);
    const integers = {
      parameters: (): readonly StateTensor[] => [{ name: "a", dtype: "I32", shape: [1] }],
      readState: async () => new Uint8Array(4),
    };
    const refused = await exportHuggingFace({
      directory: join(folder, "out"),
      model: integers,
      copy: [],
      dtype: "bf16",
    });
    assert.equal(sentences(refused, folder), [
      "unsupported: [export] only F32 and BF16 can be converted to BF16; given I32; at a",
    ]);
    assert.equal(readdirSync(folder), ["file"]);
  }));

test("an export that fails in the middle leaves the former model as it was, and nothing beside it", () =>
  inDirectory(async (folder) => {
    const directory = join(folder, "model");
    const copy = filesBeside(tiny);
    right(await exportHuggingFace({ directory, model: modelOf(tiny), copy }));
    const before = readdirSync(directory).map((name) => readFileSync(join(directory, name)));
    // The weights of the new one are whole before its config turns out to be none.
    const broken = join(folder, "config.json");
    writeFileSync(broken, "{");
    const other = { directory, model: modelOf(tiny), copy: [broken], dtype: "bf16" } as const;
    assert.match(sentences(await exportHuggingFace(other), folder)[0]!, /^\[config.json\] must be/);
    assert.equal(
      readdirSync(directory).map((name) => readFileSync(join(directory, name))),
      before,
    );
    assert.equal(readdirSync(folder), ["config.json", "model"]);
    // What a killed one has left goes with the next.
    mkdirSync(join(directory, ".model.4194303-0123abcd.tmp"));
    right(await exportHuggingFace({ directory, model: modelOf(tiny), copy }));
    assert.is(readdirSync(directory).length, before.length);
  }));

test("what spoke of the former weights goes with them, and weights of another model are not written among", () =>
  inDirectory(async (folder) => {
    const directory = join(folder, "model");
    const options = { directory, model: modelOf(tiny), copy: filesBeside(tiny) };
    right(await exportHuggingFace(options));
    writeFileSync(join(directory, "hf_quant_config.json"), '{"quantization":{"quant_algo":"W4A16_NVFP4"}}');
    writeFileSync(join(directory, "notes.txt"), "mine");
    right(await exportHuggingFace(options));
    assert.ok(!readdirSync(directory).includes("hf_quant_config.json"));
    assert.is(readFileSync(join(directory, "notes.txt"), "utf8"), "mine");
    right(prepareQwen3(directory));
    writeFileSync(join(directory, "model.safetensors.index.json"), "{}");
    assert.equal(sentences(await exportHuggingFace(options), folder), [
      "[model] must not hold weights of another model; given model.safetensors.index.json; give another directory, or remove them",
    ]);
  }));

test("a checkpoint holds config and tokenizer beside the weights, all with their hashes", () =>
  inDirectory(async (folder) => {
    const directory = right(
      await saveCheckpoint({
        folder: join(folder, "checkpoints"),
        name: "step-00000001",
        model: modelOf(tiny),
        state: { step: 1, targets: 2, skippedSteps: 0, data: { epoch: 0, place: 0, offset: 0 }, seed: 1 },
        identity: { model: "tiny" },
        copy: filesBeside(tiny),
      }),
    );
    const { manifest } = right(await openTrainingCheckpoint(directory));
    assert.equal(Object.keys(manifest.files).sort(), [
      "config.json",
      "model.safetensors",
      "optimizer.safetensors",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    assert.equal(readdirSync(directory).sort(), [...Object.keys(manifest.files), "trainer.json"].sort());
    right(prepareQwen3(directory));
  }));

test("a tensor file is written whole or not at all", () =>
  inDirectory(async (folder) => {
    const file = join(folder, "a.safetensors");
    const tensor = (name: string, ...pieces: Uint8Array[]) => ({
      name,
      dtype: "U8" as const,
      shape: [4],
      pieces: () => pieces,
    });
    const three = [new Uint8Array(2), new Uint8Array(1)];
    for (const pieces of [three, [...three, new Uint8Array(2)]]) {
      const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
      assert.equal(sentences(await writeSafetensorsStream(file, [tensor("a", ...pieces)]), folder), [
        `[a.safetensors] data must fill U8 [4], 4 bytes; given ${length} bytes; at a; give as many elements as the shape has`,
      ]);
    }
    assert.equal(sentences(await writeSafetensorsStream(file, [tensor("a"), tensor("a")]), folder), [
      '[a.safetensors] each tensor must have a name of its own and whole bytes; given "a", U8 [4]; rename one of them',
    ]);
    assert.equal(readdirSync(folder), []);
    mkdirSync(file);
    assert.match(
      sentences(await writeSafetensorsStream(file, [tensor("a", ...three, new Uint8Array(1))]), folder)[0]!,
      /must be writable; given EISDIR/,
    );
    assert.equal(readdirSync(folder), ["a.safetensors"]);
  }));

test.run();
