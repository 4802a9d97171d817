/** The random checkpoints of the benchmarks: exactly the weights that their definition gives, in files that load. */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { orThrow } from "@weft/dsl";
import { bindWeights, openCheckpoint, readQwen3Config } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ensureModel } from "../../bench/model/make.ts";
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
