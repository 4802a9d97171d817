/**
 * Checkpoints in NVFP4 that other libraries wrote (and a `.dat` stream by its layout): taken apart, they are the models
 * that those libraries know; and what they encoded, our encoder encodes to the same codes but where a tie decides.
 */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decodeE4m3, encodeNvfp4, nvfp4Block, nvfp4EncodeScale } from "@weft/dsl";
import {
  checkAgreement,
  checkScales,
  openCheckpoint,
  prepareQwen3,
  readCheckpointWeights,
  readPart,
  readQuantizationConfigs,
  readTensor,
  scaleCodesOf,
  storedWeights,
} from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { inDirectory, refusedWith, right } from "../qwen3/weights/files.ts";
import { largestDifference } from "../support/largest-difference.ts";
import { fixtures, openOn } from "../support/models.ts";
import { takeApart } from "../support/taken-apart.ts";

const test = suite("NVFP4 checkpoints of other libraries");

interface Told {
  readonly versions: Readonly<Record<string, string>>;
  readonly tokens: readonly number[];
  readonly logits: readonly (readonly number[])[];
}

const tolerance = 1e-4;
const folderOf = (format: string) => join(fixtures, "nvfp4", format);
const source = right(openCheckpoint(join(fixtures, "tiny-tied")));
const original = (name: string) => readTensor(source.tensors.get(name)!);

const open = (format: string) => {
  const checkpoint = right(openCheckpoint(folderOf(format)));
  return { checkpoint, stored: right(storedWeights(checkpoint)) };
};

async function logitsOf(model: string, tokens: readonly number[]) {
  using opened = await openOn("cpu", model, { capacity: 16, logits: "all" });
  const { outputs } = await opened.executable.run("prefill", {
    symbols: { seq: tokens.length, past: 0, dropped: 0 },
    inputs: { tokens: Int32Array.from(tokens) },
  });
  const width = opened.config.vocabSize;
  return tokens.map((_, at) => outputs.logits!.subarray(at * width, (at + 1) * width));
}

for (const { format, library, quantized } of [
  { format: "compressed-tensors", library: "compressed-tensors", quantized: 13 },
  { format: "modelopt", library: "nvidia-modelopt", quantized: 14 },
  { format: "dat", library: "ml_dtypes", quantized: 15 },
]) {
  test(`${format}: taken apart and as it is, the model has the logits that ${library} and transformers give it`, () =>
    inDirectory(async (folder) => {
      const told = JSON.parse(readFileSync(join(folderOf(format), "reference.json"), "utf8")) as Told;
      assert.match(told.versions[library]!, /^\d+\.\d+/);
      const { checkpoint, stored } = open(format);
      assert.is(checkpoint.kind, format === "dat" ? "dat" : "safetensors");
      assert.is(stored.linears.size, quantized);
      right(await checkScales(stored.linears.values()));
      for (const config of right(readQuantizationConfigs(folderOf(format))))
        right(checkAgreement(config, stored));
      await takeApart(folderOf(format), folder);
      assert.ok(largestDifference(await logitsOf(folder, told.tokens), told.logits) < tolerance);
      // As it is stored: the directory, and for one weight file what lies beside it.
      assert.ok(largestDifference(await logitsOf(folderOf(format), told.tokens), told.logits) < tolerance);
      const [file] = checkpoint.files;
      assert.ok(largestDifference(await logitsOf(file!, told.tokens), told.logits) < tolerance);
    }));
}

test("the fixtures hold what they are there for", () => {
  const plain = open("compressed-tensors").stored.plain;
  assert.ok(plain.has("model.layers.1.mlp.down_proj.weight"), "a plain layer among quantised ones");
  const ofQkv = ["q", "k", "v"].map(
    (one) =>
      open("compressed-tensors").stored.linears.get(`model.layers.0.self_attn.${one}_proj.weight`)!
        .tensorScale,
  );
  assert.is(new Set(ofQkv).size, 3, "q, k and v with scales of their own");
  const dat = [...open("dat").stored.linears.values()];
  assert.equal([...new Set(dat.map(({ scales }) => scales.dtype))].sort(), ["e4m3", "f16", "f32"]);
  assert.ok(dat.some(({ codes }) => codes.name.endsWith(".weight.qdata")));
  assert.ok(dat.some(({ codes }) => codes.name.endsWith("_proj.qdata")));
  const [one] = open("modelopt").stored.linears.values();
  assert.ok(one!.input!.value > 0);
});

test("a model whose config contradicts its tensors, or whose block scales are no numbers, is not opened", () =>
  inDirectory(async (folder) => {
    const format = "compressed-tensors";
    cpSync(folderOf(format), folder, { recursive: true });
    const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
    const ignore = ["lm_head", "re:.*down_proj", "re:.*q_proj"];
    const other = { ...config, quantization_config: { ...config.quantization_config, ignore } };
    writeFileSync(join(folder, "config.json"), JSON.stringify(other));
    for (const refused of [prepareQwen3(folder), readCheckpointWeights(folder)]) {
      refusedWith(
        refused,
        "what it leaves out must be plain",
        "model.layers.0.mlp.down_proj.weight_packed",
        "and ",
      );
    }
    writeFileSync(join(folder, "config.json"), JSON.stringify(config));
    const { scales } = open(format).stored.linears.get("model.layers.1.mlp.up_proj.weight")!;
    const bytes = readFileSync(scales.path);
    bytes[scales.offset + 5] = 0x7f;
    writeFileSync(join(folder, "model.safetensors"), bytes);
    const refused = await openOn("cpu", folder, { capacity: 16 }).then(
      () => "opened",
      (error: Error) => error.message,
    );
    assert.match(
      refused,
      /block scales must be numbers of at least 0; given NaN at row 1, block 1; at model\.layers\.1\.mlp\.up_proj/,
    );
    using model = await openOn("cpu", folder, { capacity: 16, checkWeights: false });
    refusedWith(await model.checkWeights(), "given NaN at row 1, block 1");
  }));

/** How near to a tie a decision must have been to fall either way: some roundings of f32. */
const nearTie = 2 ** -21;
const codeTies = [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5];
const scaleTies = Array.from({ length: 126 }, (_, code) => (decodeE4m3(code) + decodeE4m3(code + 1)) / 2);
const isTie = (value: number, ties: readonly number[]) =>
  ties.some((tie) => Math.abs(Math.abs(value) - tie) <= tie * nearTie);
const amaxOf = (values: Float32Array) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** Their bytes and ours for the same tensor scale. */
async function compared(format: string) {
  const counts = { codes: 0, scales: 0, elements: 0 };
  for (const linear of open(format).stored.linears.values()) {
    const values = original(linear.name);
    const encodeScale =
      linear.format === "modelopt" ? Math.fround(1 / linear.tensorScale) : linear.stored!.value;
    const own = encodeNvfp4(values, { encodeScale });
    const [codes, scales] = [await readPart(linear.codes), right(await scaleCodesOf(linear))];
    counts.elements += values.length;
    for (let block = 0; block < scales.length; block++) {
      const piece = values.subarray(block * nvfp4Block, (block + 1) * nvfp4Block);
      if (scales[block] !== own.scales[block]) {
        counts.scales++;
        assert.ok(
          isTie((amaxOf(piece) * encodeScale) / 6, scaleTies),
          `${linear.name}, scale of block ${block}`,
        );
        // Codes of another scale are others.
        continue;
      }
      const unit = decodeE4m3(scales[block]!) / encodeScale;
      for (const [i, value] of piece.entries()) {
        const at = block * nvfp4Block + i;
        const of = (bytes: Uint8Array) => (bytes[at >> 1]! >> (4 * (at & 1))) & 15;
        if (of(codes) === of(own.codes)) continue;
        counts.codes++;
        assert.ok(isTie(value / unit, codeTies), `${linear.name}, element ${at}: ${value / unit}`);
      }
    }
  }
  return counts;
}

test("compressed-tensors encodes to the same bytes but where the order of roundings decides a tie", async () => {
  assert.equal(await compared("compressed-tensors"), { codes: 5, scales: 0, elements: 65536 });
  for (const { name, stored } of open("compressed-tensors").stored.linears.values()) {
    // There it is the inverse of the largest magnitude, rounded, times 2688.
    const amax = amaxOf(original(name));
    assert.is(stored!.value, Math.fround(Math.fround(1 / amax) * 2688), name);
    assert.ok(Math.abs(stored!.value / nvfp4EncodeScale(amax) - 1) < 2 ** -22);
  }
});

test("ModelOpt encodes to the same bytes but where the order of roundings decides a tie", async () => {
  const { codes, scales, elements } = await compared("modelopt");
  assert.equal({ codes, scales, elements }, { codes: 7, scales: 5, elements: 73728 });
  const { linears } = open("modelopt").stored;
  const scaleOf = (name: string) => linears.get(`model.layers.0.${name}_proj.weight`)!.tensorScale;
  // q, k and v share the scale of the largest of them.
  assert.equal(new Set(["q", "k", "v"].map((one) => scaleOf(`self_attn.${one}`))).size, 1);
  const amax = amaxOf(original("model.layers.0.self_attn.o_proj.weight"));
  assert.is(scaleOf("self_attn.o"), Math.fround(amax / 2688));
});

test.run();
