import { readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { WeftError } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  bfloat16ToFloat32,
  checkFinite,
  findNonFinite,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
  nonFiniteProblem,
  openSafetensors,
  readTensor,
  type TensorDtype,
  writeSafetensors,
} from "../../../packages/qwen3/src/weights/index.ts";
import fc from "../../support/fast-check.ts";
import { fixtures, inDirectory, left, refusedWith, right } from "./files.ts";

const test = suite("qwen3/weights: values");
const allBits = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);
const half = (...values: number[]) => [...float32ToFloat16(Float32Array.from(values))];
const brain = (...values: number[]) => [...float32ToBfloat16(Float32Array.from(values))];

test("every f16 and bf16 survives the way through f32", () => {
  const halves = float16ToFloat32(allBits);
  const brains = bfloat16ToFloat32(allBits);
  const halvesBack = float32ToFloat16(halves);
  const brainsBack = float32ToBfloat16(brains);
  for (let bits = 0; bits < 65_536; bits++) {
    if (Number.isNaN(halves[bits]))
      assert.ok(Number.isNaN(float16ToFloat32(halvesBack.subarray(bits, bits + 1))[0]));
    else if (halvesBack[bits] !== bits) assert.unreachable(`f16 ${bits} became ${halvesBack[bits]}`);
    if (Number.isNaN(brains[bits]))
      assert.ok(Number.isNaN(bfloat16ToFloat32(brainsBack.subarray(bits, bits + 1))[0]));
    else if (brainsBack[bits] !== bits) assert.unreachable(`bf16 ${bits} became ${brainsBack[bits]}`);
  }
});

test("known values", () => {
  assert.equal(
    [...float16ToFloat32(Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x03ff, 0x0400, 0x7c00, 0xfc00))],
    [1, -2, 65504, 2 ** -24, 1023 * 2 ** -24, 2 ** -14, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  );
  assert.equal(
    [...bfloat16ToFloat32(Uint16Array.of(0x3f80, 0xc049, 0x7f80, 0x0001))],
    [1, -3.140625, Number.POSITIVE_INFINITY, 2 ** -133],
  );
  assert.equal(
    half(1, 65519.99, 65520, -1e9, 2 ** -25, 2 ** -25 * 1.01, 3 * 2 ** -25, 0, -0),
    [0x3c00, 0x7bff, 0x7c00, 0xfc00, 0, 1, 2, 0, 0x8000],
  );
  assert.equal(brain(1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 3.4e38, -0), [0x3f80, 0x3f80, 0x3f82, 0x7f80, 0x8000]);
});

test("rounding goes to the nearest, ties to even", () => {
  const halves = float16ToFloat32(allBits.subarray(0, 0x7c00));
  const brains = bfloat16ToFloat32(allBits.subarray(0, 0x7f80));
  for (const [table, convert] of [
    [halves, half],
    [brains, brain],
  ] as const) {
    fc.assert(
      fc.property(fc.nat(table.length - 2), fc.double({ min: 0, max: 1, noNaN: true }), (bits, share) => {
        const [low, high] = [table[bits]!, table[bits + 1]!];
        const value = Math.fround(low + (high - low) * share);
        const middle = low + (high - low) / 2;
        const nearest = value < middle ? bits : value > middle ? bits + 1 : bits + (bits % 2);
        assert.is(convert(value)[0], nearest);
        assert.is(convert(-value)[0], nearest | 0x8000);
        assert.is(convert(middle)[0], bits + (bits % 2));
      }),
      { numRuns: 300 },
    );
  }
});

test("the fixtures' values are those of the bytes", () => {
  const file = right(openSafetensors(join(fixtures, "tiny/model.safetensors")));
  const norm = file.entries.find(({ name }) => name === "model.norm.weight")!;
  const bytes = readFileSync(norm.file);
  const values = readTensor(norm);
  assert.is(values.length, 64);
  for (let index = 0; index < 64; index++)
    assert.is(values[index], bytes.readFloatLE(norm.begin + 4 * index));
  const tied = right(openSafetensors(join(fixtures, "tiny-tied/model.safetensors"))).entries[0]!;
  const table = readTensor(tied);
  assert.is(table.length, 320 * 64);
  const raw = readFileSync(tied.file).readUInt16LE(tied.begin + 2 * 777);
  assert.is(float32ToBfloat16(table.subarray(777, 778))[0], raw);
});

test("what is written is read back, whatever the order of types", async () => {
  await inDirectory((directory) => {
    const file = join(directory, "x.safetensors");
    const data = Float32Array.of(1, -2.5, 0.25, 1024, -0, 3);
    const dtypes: TensorDtype[] = ["F16", "F32", "BF16"];
    const tensors = dtypes.map((dtype) => ({ name: `t.${dtype}`, dtype, shape: [2, 3], data }));
    right(
      writeSafetensors(file, [
        { name: "bytes", dtype: "U8", shape: [3], data: Uint8Array.of(1, 2, 3) },
        ...tensors,
      ]),
    );
    const opened = right(openSafetensors(file));
    assert.is(opened.entries.length, 4);
    for (const entry of opened.entries) {
      if (entry.dtype === "U8") {
        assert.throws(
          () => readTensor(entry),
          (error: Error) =>
            error instanceof WeftError && /only F32, F16 and BF16.*given U8; at bytes/.test(error.message),
        );
        continue;
      }
      assert.is(entry.begin % (entry.dtype === "F32" ? 4 : 2), 0);
      assert.equal(readTensor(entry), data);
    }
  });
});

test("wrong tensors write nothing, and a refusing disk leaves the former file and no litter", async () => {
  await inDirectory((directory) => {
    const file = join(directory, "x.safetensors");
    const good = { name: "a", dtype: "F32", shape: [1], data: Float32Array.of(1) } as const;
    refusedWith(
      writeSafetensors(file, [{ ...good, shape: [2] }]),
      "data must fill F32 [2], 8 bytes",
      "given 4 bytes",
      "at a",
    );
    refusedWith(writeSafetensors(file, [good, good]), "a name of its own", '"a"');
    refusedWith(writeSafetensors(file, [{ ...good, name: "" }]), "a name of its own");
    assert.equal(readdirSync(directory), []);
    refusedWith(
      writeSafetensors(join(directory, "none/x.safetensors"), [good]),
      "must be writable",
      "nothing was changed",
    );
    writeFileSync(file, "former");
    refusedWith(writeSafetensors(join(file, "x"), [good]), "must be writable");
    assert.is(readFileSync(file, "utf8"), "former");
    assert.equal(readdirSync(directory), ["x.safetensors"]);
  });
});

test("a file that shrinks after opening is an error that names it", async () => {
  await inDirectory(async (directory) => {
    const file = join(directory, "x.safetensors");
    right(writeSafetensors(file, [{ name: "a", dtype: "F32", shape: [8], data: new Float32Array(8) }]));
    const [entry] = right(openSafetensors(file)).entries;
    truncateSync(file, entry!.begin + 5);
    assert.throws(() => readTensor(entry!), /must stay as it was.*the file ends at byte.*at a/);
    refusedWith(await findNonFinite(entry!), "must be readable", "the file ends at byte", "at a");
  });
});

test("NaN and infinity are found at their place, also beyond the first megabyte", async () => {
  await inDirectory(async (directory) => {
    const file = join(directory, "x.safetensors");
    const length = 700_001;
    for (const dtype of ["F32", "F16", "BF16"] as const) {
      for (const [index, value] of [
        [0, Number.NaN],
        [length - 1, Number.NEGATIVE_INFINITY],
        [543_210, Number.POSITIVE_INFINITY],
      ] as const) {
        const data = new Float32Array(length).fill(dtype === "F16" ? 65504 : 3e38);
        data[index] = value;
        right(writeSafetensors(file, [{ name: "w", dtype, shape: [length], data }]));
        const [entry] = right(openSafetensors(file)).entries;
        assert.equal(right(await findNonFinite(entry!)), { name: "w", index, value: String(value) });
      }
    }
    const [norm] = right(openSafetensors(join(fixtures, "tiny/model.safetensors"))).entries;
    assert.is(right(await findNonFinite(norm!)), undefined);
    assert.equal(nonFiniteProblem({ name: "w", index: 3, value: "NaN" }, "f").given, "NaN at flat index 3");
  });
});

test("all broken parameters are named together", async () => {
  await inDirectory(async (directory) => {
    const file = join(directory, "x.safetensors");
    const broken = Float32Array.of(1, Number.NaN);
    const tensor = (name: string, data: Float32Array) => ({ name, dtype: "F32", shape: [2], data }) as const;
    right(
      writeSafetensors(file, [tensor("a", broken), tensor("b", Float32Array.of(1, 2)), tensor("c", broken)]),
    );
    const lines = left(await checkFinite(right(openSafetensors(file)).entries));
    assert.equal(
      lines.map((line) => line.replace(directory, "")),
      ["a", "c"].map(
        (name) =>
          `[/x.safetensors] weights must be finite; given NaN at flat index 1; at ${name}; fetch the checkpoint again, or find out which training step broke it`,
      ),
    );
    right(await checkFinite(right(openSafetensors(join(fixtures, "tiny/model.safetensors"))).entries));
  });
});

test.run();
