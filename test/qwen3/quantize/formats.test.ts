/** Checkpoints go from format to format and back without a changed byte: nothing is ever quantised twice. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type Nvfp4Format,
  openCheckpoint,
  quantizeCheckpoint,
  storedWeights,
  type TensorToWrite,
  writeSafetensors,
} from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { convertScale } from "../../../packages/qwen3/src/quantize/tensor-scale.ts";
import { configOf } from "../../support/checkpoints.ts";
import fc from "../../support/fast-check.ts";
import { fixtures, inDirectory, refusedWith, right } from "../weights/files.ts";
import { tensorsOf } from "./tensors.ts";

const test = suite("qwen3/quantize: formats");
const fixture = (format: Nvfp4Format) => join(fixtures, "nvfp4", format);

async function convert(model: string, directory: string, format: Nvfp4Format) {
  return right(await quantizeCheckpoint({ model, directory, format }));
}

/** Some tensors with a config.json that could be theirs. */
function writeModel(directory: string, tensors: readonly TensorToWrite[]): void {
  mkdirSync(directory);
  const shape = { hidden: 16, layers: 1, heads: 1, kvHeads: 1, headDim: 16, intermediate: 16, vocab: 4 };
  writeFileSync(join(directory, "config.json"), JSON.stringify(configOf(shape)));
  right(writeSafetensors(join(directory, "model.safetensors"), tensors));
}

const json = (directory: string, file = "config.json") =>
  JSON.parse(readFileSync(join(directory, file), "utf8"));

for (const [format, other] of [
  ["compressed-tensors", "modelopt"],
  ["modelopt", "compressed-tensors"],
] as const) {
  test(`${format} as ${other} and back: every tensor has its bytes, type and shape`, () =>
    inDirectory(async (directory) => {
      const [there, back] = [join(directory, "there"), join(directory, "back")];
      const report = await convert(fixture(format), there, other);
      assert.ok(
        report.linears.every(({ how, relativeError }) => how === "taken" && relativeError === undefined),
      );
      await convert(there, back, format);
      assert.equal(tensorsOf(back), tensorsOf(fixture(format)));
      const [own, foreign] = [fixture(format), there].map((one) =>
        right(storedWeights(right(openCheckpoint(one)))),
      );
      for (const [name, linear] of own!.linears) {
        const taken = foreign!.linears.get(name)!;
        assert.is(taken.format, other);
        assert.equal(taken.shape, linear.shape);
        // What the other form cannot say is said in the report.
        const isSame = taken.tensorScale === linear.tensorScale;
        assert.is(isSame, !report.inexact.includes(name), name);
        assert.ok(Math.abs(taken.tensorScale / linear.tensorScale - 1) < 2 ** -22);
      }
      const plain = tensorsOf(fixture(format));
      for (const name of own!.plain.keys()) assert.equal(tensorsOf(there).get(name), plain.get(name));
    }));
}

test("a file's own format: the same tensors again, activations and all", () =>
  inDirectory(async (directory) => {
    for (const format of ["compressed-tensors", "modelopt"] as const) {
      const out = join(directory, format);
      await convert(fixture(format), out, format);
      assert.equal(tensorsOf(out), tensorsOf(fixture(format)));
    }
    assert.is(json(join(directory, "modelopt")).quantization_config.quant_algo, "NVFP4");
    assert.is(json(join(directory, "modelopt"), "hf_quant_config.json").quantization.quant_algo, "NVFP4");
    assert.equal(json(join(directory, "compressed-tensors")).quantization_config.ignore, [
      "model.layers.1.mlp.down_proj",
      "lm_head",
    ]);
  }));

test("a .dat stream is written again byte by byte: its keys, order, types and shapes", () =>
  inDirectory(async (directory) => {
    const out = join(directory, "out");
    await convert(join(fixture("dat"), "model.dat"), out, "dat");
    assert.equal(readFileSync(join(out, "model.dat")), readFileSync(join(fixture("dat"), "model.dat")));
    // An untouched head beside a tied embedding has to be read as one of its own.
    assert.is(json(out).tie_word_embeddings, false);
  }));

test(".dat in the other formats: its scales as codes, the tensor's scale 1, and exactly back", () =>
  inDirectory(async (directory) => {
    for (const format of ["compressed-tensors", "modelopt"] as const) {
      const [there, back] = [join(directory, format), join(directory, `${format}-back`)];
      const report = await convert(fixture("dat"), there, format);
      assert.equal(report.inexact, []);
      const { linears, plain } = right(storedWeights(right(openCheckpoint(there))));
      assert.is(linears.size, 15);
      for (const { stored, scales } of linears.values())
        assert.equal([stored!.value, scales.dtype], [1, "e4m3"]);
      assert.is(plain.get("model.norm.weight")!.dtype, "F16");
      await convert(there, back, "dat");
      const [first, second] = [right(openCheckpoint(fixture("dat"))), right(openCheckpoint(back))];
      const again = right(storedWeights(second)).linears;
      const [before, after] = [tensorsOf(fixture("dat")), tensorsOf(back)];
      for (const [name, linear] of right(storedWeights(first)).linears) {
        assert.equal(after.get(again.get(name)!.codes.name), before.get(linear.codes.name));
        if (linear.scales.dtype !== "e4m3") continue;
        assert.equal(after.get(again.get(name)!.scales.name)!.bytes, before.get(linear.scales.name)!.bytes);
      }
    }
  }));

test("a scale that .dat has no place for is refused; one that goes into the block scales exactly is not", () =>
  inDirectory(async (directory) => {
    refusedWith(
      await quantizeCheckpoint({
        model: fixture("modelopt"),
        directory: join(directory, "no"),
        format: "dat",
      }),
      "block scales times the tensor's scale must be values that E4M3 has",
      "given ",
      "at model.layers.0.mlp.down_proj.weight",
      "a .dat file has no scale of a tensor",
    );
    const codes = Uint8Array.from({ length: 16 }, (_, i) => i * 17);
    const scales = Uint8Array.of(0x38, 0x40);
    const model = join(directory, "model");
    writeModel(model, [
      { name: "model.layers.0.mlp.up_proj.weight", dtype: "U8", shape: [2, 8], data: codes },
      { name: "model.layers.0.mlp.up_proj.weight_scale", dtype: "F8_E4M3", shape: [2, 1], data: scales },
      {
        name: "model.layers.0.mlp.up_proj.weight_scale_2",
        dtype: "F32",
        shape: [],
        data: Float32Array.of(0.25),
      },
    ]);
    await convert(model, join(directory, "out"), "dat");
    const tensors = tensorsOf(join(directory, "out"));
    assert.equal(tensors.get("model.layers.0.mlp.up_proj.weight.qdata")!.bytes, codes);
    assert.equal(tensors.get("model.layers.0.mlp.up_proj.weight.scale")!.bytes, Uint8Array.of(0x28, 0x30));
  }));

test("scales and inverses: what does not come back is remembered, and nothing else is believed", () => {
  const positive = fc.float({ min: Math.fround(1e-30), max: Math.fround(1e30), noNaN: true });
  let lost = 0;
  fc.assert(
    fc.property(positive, fc.constantFrom("divide" as const, "multiply" as const), (value, form) => {
      const other = form === "divide" ? "multiply" : "divide";
      const there = convertScale({ value, form }, other, undefined);
      const back = convertScale({ value: there.value, form: other }, form, there.isLost ? value : undefined);
      assert.is(back.value, value);
      if (there.isLost) lost++;
      // Multiplying is what weights are defined by, so only that direction keeps them for certain.
      if (form === "divide") assert.ok(there.isExact);
      // For activations it is the other way round.
      if (form === "multiply") assert.ok(convertScale({ value, form }, other, undefined, "divide").isExact);
      assert.is(
        convertScale({ value: there.value, form: other }, form, value * 2).value,
        Math.fround(1 / there.value),
      );
    }),
    { numRuns: 2000 },
  );
  assert.ok(lost > 20, `${lost} of 2000`);
});

test("element types that a .dat stream does not have are named", () =>
  inDirectory(async (directory) => {
    const model = join(directory, "model");
    writeModel(model, [
      {
        name: "model.layers.0.mlp.up_proj.weight",
        dtype: "F32",
        shape: [16, 16],
        data: new Float32Array(256),
      },
      { name: "odd", dtype: "U16", shape: [1], data: new Uint16Array(1) },
    ]);
    refusedWith(
      await quantizeCheckpoint({ model, directory: join(directory, "out"), format: "dat" }),
      "a .dat stream must have the element type; given U16; at odd",
    );
  }));

test.run();
