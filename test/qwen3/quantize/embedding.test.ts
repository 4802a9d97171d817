/** A table of embeddings in NVFP4: what it is called, what the configuration says of it, and a model that runs on it. */
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeNvfp4, encodeNvfp4, nvfp4EncodeScale } from "@weft/dsl";
import {
  logitsOf,
  logitsOpenOptions,
  type Nvfp4Format,
  openCheckpoint,
  openQwen3,
  type QuantizeOptions,
  quantizeCheckpoint,
  readPart,
  readTensor,
  scaleCodesOf,
  storedWeights,
  type TensorToWrite,
  writeSafetensors,
} from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { fixtures, inDirectory, left, right } from "../weights/files.ts";
import { tensorsOf } from "./tensors.ts";

const test = suite("qwen3/quantize: embedding");
const tied = join(fixtures, "tiny-tied");
const table = "model.embed_tokens.weight";
const tokens = [1, 45, 7, 319, 0, 200];
const json = (directory: string) => JSON.parse(readFileSync(join(directory, "config.json"), "utf8"));

const quantized = async (directory: string, options: Partial<QuantizeOptions> = {}) => {
  right(
    await quantizeCheckpoint({
      model: tied,
      directory,
      format: "compressed-tensors",
      embedding: true,
      ...options,
    }),
  );
  return directory;
};

/** The same values as plain f32 weights. */
async function writeDequantized(from: string, directory: string): Promise<void> {
  mkdirSync(directory);
  copyFileSync(join(tied, "config.json"), join(directory, "config.json"));
  const { linears, plain } = right(storedWeights(right(openCheckpoint(from))));
  const tensors: TensorToWrite[] = [...plain.values()].map((entry) => ({
    name: entry.name,
    dtype: "F32",
    shape: entry.shape,
    data: readTensor(entry),
  }));
  for (const linear of linears.values()) {
    const [codes, scales] = [await readPart(linear.codes), right(await scaleCodesOf(linear))];
    const data = decodeNvfp4({ codes, scales }).map((value) => value * linear.tensorScale);
    tensors.push({ name: linear.name, dtype: "F32", shape: linear.shape, data });
  }
  right(writeSafetensors(join(directory, "model.safetensors"), tensors));
}

async function logitsFrom(directory: string): Promise<number[]> {
  using model = await openQwen3(directory, { threads: 1, ...logitsOpenOptions(tokens.length) });
  assert.is(model.config.tiedEmbeddings, true);
  const { logits } = await logitsOf(model, tokens);
  return logits.flatMap((row) => [...row]);
}

for (const format of ["compressed-tensors", "modelopt", "dat"] satisfies Nvfp4Format[]) {
  test(`${format}: one table in NVFP4 serves embedding and head, and gives what its values give`, () =>
    inDirectory(async (folder) => {
      const out = await quantized(join(folder, "out"), { format });
      const { linears, plain } = right(storedWeights(right(openCheckpoint(out))));
      assert.is(linears.size, 15);
      assert.equal(
        [...plain.keys()].filter((name) => !name.endsWith("norm.weight")),
        [],
      );
      assert.is(json(out).tie_word_embeddings, true);
      const dequantized = join(folder, "dequantized");
      await writeDequantized(out, dequantized);
      const [own, expected] = [await logitsFrom(out), await logitsFrom(dequantized)];
      const largest = Math.max(...expected.map(Math.abs));
      const off = Math.max(...own.map((value, i) => Math.abs(value - expected[i]!)));
      assert.ok(off < 2e-5 * largest, `${off} of ${largest}`);
    }));
}

test("the table has the definition's codes; a tied head needs none of its own", () =>
  inDirectory(async (folder) => {
    const out = await quantized(join(folder, "out"), { head: true });
    const values = readTensor(right(openCheckpoint(tied)).tensors.get(table)!);
    const amax = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const expected = encodeNvfp4(values, { encodeScale: nvfp4EncodeScale(amax) });
    const held = tensorsOf(out);
    assert.equal(held.get(`${table}_packed`)!.bytes, expected.codes);
    assert.equal(held.get(`${table}_scale`)!.bytes, expected.scales);
    assert.not.ok([...held.keys()].some((name) => name.startsWith("lm_head")));
    const { config_groups: groups, ignore } = json(out).quantization_config;
    assert.equal(groups.group_0.targets, ["Linear", "Embedding"]);
    assert.equal(ignore, [], "the head is quantised with the table");
  }));

test("of a model with a head of its own, the table alone", () =>
  inDirectory(async (folder) => {
    const out = await quantized(join(folder, "out"), { model: join(fixtures, "tiny") });
    const { linears, plain } = right(storedWeights(right(openCheckpoint(out))));
    assert.ok(linears.has(table) && plain.has("lm_head.weight"));
    assert.equal(json(out).quantization_config.ignore, ["lm_head"]);
  }));

test("it can be added to a quantised checkpoint, and left out by its name", () =>
  inDirectory(async (folder) => {
    const linearsOnly = await quantized(join(folder, "linears"), { embedding: false });
    const both = await quantized(join(folder, "both"), { model: linearsOnly });
    assert.equal(tensorsOf(both), tensorsOf(await quantized(join(folder, "at-once"))));
    const options = { model: tied, format: "dat", embedding: true, exclude: ["model.embed_token"] } as const;
    const lines = left(await quantizeCheckpoint({ ...options, directory: join(folder, "no") }));
    assert.match(lines.join(), /did you mean model\.embed_tokens\?/);
    const without = await quantized(join(folder, "without"), { exclude: ["model.embed_tokens"] });
    assert.equal(tensorsOf(without), tensorsOf(linearsOnly));
  }));

test.run();
