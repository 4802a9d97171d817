/** The random checkpoints of the benchmarks: exactly the weights that their definition gives, in files that load. */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { orThrow } from "@weft/dsl";
import { bindWeights, openCheckpoint, readQwen3Config, storedWeights } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { encoders } from "../../bench/model/four-bit.ts";
import { writeGguf } from "../../bench/model/gguf.ts";
import { ensureFourBit, ensureModel } from "../../bench/model/make.ts";
import { bf16Bits, probit, WeightStream } from "../../bench/model/random.ts";
import { shapes, tensorsOf } from "../../bench/model/shapes.ts";

const test = suite("bench: random checkpoints");
let folder = "";
test.before(() => {
  folder = mkdtempSync(join(tmpdir(), "weft-bench-"));
});
test.after(() => rmSync(folder, { recursive: true }));

const digest = (file: string) => createHash("sha256").update(readFileSync(file)).digest("hex");

// The digests are those of an independent program that follows the same definition.
for (const { name, type, safetensors, gguf } of [
  {
    name: "tiny",
    type: "f32",
    safetensors: "79e0a8cf77465cc31b78dbbbed26d98c88e3ea02687a168d79d1b8b6c5df8eed",
    gguf: "4f6f69a803417b07f8ac8853a2b1b67ce612cb999e33f4dc8a755a196569dcd3",
  },
  {
    name: "tiny-tied",
    type: "bf16",
    safetensors: "06d913193822725005fc2e65e8fdc1988c53ac54463a9a5afb23507a86d87123",
    gguf: "08009d1ad2b7aee499d56f1796a0ded0d60b39cf5805840890307a111ef4b70d",
  },
] as const) {
  test(`${name} as ${type} is the same file, byte by byte, as another program's`, () => {
    const files = ensureModel(name, type, { folder });
    assert.is(digest(join(files.directory, "model.safetensors")), safetensors);
    assert.is(digest(files.gguf), gguf);
  });

  test(`${name} as ${type} opens as a Qwen3 checkpoint`, () => {
    const { directory } = ensureModel(name, type, { folder });
    const config = orThrow(readQwen3Config(directory));
    assert.is(config.layers, shapes[name].layers);
    const required = tensorsOf(shapes[name]).map((tensor) => ({
      name: tensor.name,
      shape: tensor.shape,
      dtypes: [type === "f32" ? "F32" : "BF16"] as const,
    }));
    const bound = orThrow(bindWeights(required, orThrow(openCheckpoint(directory))));
    assert.ok(bound);
  });
}

// The digests are those of files whose every block is what the Python package gguf 0.19 encodes and reads back.
for (const { name, type, gguf } of [
  { name: "tiny", type: "q4_0", gguf: "f8d0e2bfb3d3322241ce30d6e1bc117b3d7f1707d435c2fb9a612adf6a3c64ce" },
  { name: "tiny", type: "mxfp4", gguf: "e183e3385cdfdba62ac1d8d2916ce9efbd93820ff5d47fb241cb8ff215a60c7f" },
] as const) {
  test(`${name} as ${type} has the blocks of another program`, () => {
    const file = join(folder, `${type}.gguf`);
    writeGguf(file, shapes[name], "1", type);
    assert.is(digest(file), gguf);
  });
}

test("a tied model in 4 bits: the files of all three types, and no matrix of another type in NVFP4", async () => {
  const files = await ensureFourBit("tiny-tied", { folder });
  assert.is(digest(files.gguf.q4_0), "17b4bb682cbb9e1d5e29c9d5b38f00998835e220530df293af8a57c9b3c1a034");
  assert.is(digest(files.gguf.mxfp4), "193577485106258bc36cb97b3284d42fbdbbac1e8ab1b21c8d9b442a9247f59d");
  const { linears, plain } = orThrow(storedWeights(orThrow(openCheckpoint(files.nvfp4))));
  const matrices = tensorsOf(shapes["tiny-tied"]).filter(({ kind }) => kind === "matrix");
  assert.equal([...linears.keys()].sort(), matrices.map((tensor) => tensor.name).sort());
  assert.ok([...plain.keys()].every((tensor) => tensor.endsWith("norm.weight")));
  assert.equal(await ensureFourBit("tiny-tied", { folder }), files, "what is there is kept");
});

test("blocks of zeros, of one value, and of what lies beyond the largest code", () => {
  const blockOf = (...values: readonly number[]) =>
    Uint16Array.from({ length: 32 }, (_, i) => bf16Bits(values[i] ?? 0));
  assert.equal([...encoders.q4_0(blockOf())], [0, 0, ...Array(16).fill(0x88)]);
  assert.equal([...encoders.mxfp4(blockOf())], Array(17).fill(0));
  // d = 4 / -8 = -0.5, f16 0xb800; 4 is code 0, -4 would be 16 and becomes 15.
  assert.equal([...encoders.q4_0(blockOf(4, -4)).subarray(0, 4)], [0x00, 0xb8, 0x80, 0x8f]);
  // 2^2 is the exponent of 7.5, so the scale is 1: 7.5 becomes 6, -0.25 and 0.75 are ties and take the smaller magnitude.
  assert.equal(
    [...encoders.mxfp4(blockOf(7.5, -0.25, 0.75, -6)).subarray(0, 5)],
    [127, 0x07, 0x00, 0x01, 0x0f],
  );
  assert.throws(() => encoders.mxfp4(new Uint16Array(33)), /33 values are no whole number of blocks of 32/);
});

test("a tensor filled in pieces is the tensor filled at once", () => {
  const distribution = { mean: 0, deviation: 0.02 };
  const whole = new Uint16Array(1001);
  new WeightStream("1", "a", distribution).fill(whole);
  const stream = new WeightStream("1", "a", distribution);
  const pieces = [new Uint16Array(600), new Uint16Array(401)];
  for (const piece of pieces) stream.fill(piece);
  assert.equal(
    [...whole],
    pieces.flatMap((piece) => [...piece]),
  );
});

test("probit and rounding at known points", () => {
  assert.ok(Math.abs(probit(0.975) - 1.959963984540054) < 1e-8);
  assert.ok(Math.abs(probit(0.01) + 2.326347874040841) < 1e-8);
  assert.is(bf16Bits(1), 0x3f80);
  assert.is(bf16Bits(1 + 2 ** -8), 0x3f80, "a tie goes to the even neighbour");
  assert.is(bf16Bits(1 + 3 * 2 ** -8), 0x3f82);
});

test.run();
