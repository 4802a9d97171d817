/** How a linear is stored is told by the names of its tensors; whatever is missing, doubled or misshapen is named. */
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  checkScales,
  type DatElementType,
  type DatTensorToWrite,
  openCheckpoint,
  scaleCodesOf,
  storedWeights,
  type TensorDtype,
  type TensorToWrite,
  writeDat,
  writeSafetensors,
} from "../../../../packages/qwen3/src/weights/index.ts";
import { inDirectory, left, refusedWith, right } from "../files.ts";

const test = suite("qwen3/weights: NVFP4 by names");

const [rows, columns] = [4, 32];
const bytes = (length: number, value = 0x38) => new Uint8Array(length).fill(value);
const u8 = (name: string, shape: readonly number[], dtype: TensorDtype = "U8"): TensorToWrite => ({
  name,
  dtype,
  shape,
  data: bytes(shape.reduce((product, size) => product * size, 1)),
});
const f32 = (
  name: string,
  value: number | readonly number[],
  shape: readonly number[] = [1],
): TensorToWrite => ({
  name,
  dtype: "F32",
  shape,
  data: Float32Array.from(typeof value === "number" ? [value] : value),
});
const plain = (name: string) => f32(name, new Array(rows * columns).fill(0.5), [rows, columns]);

const packed = (module: string, global = 4): TensorToWrite[] => [
  u8(`${module}.weight_packed`, [rows, columns / 2]),
  u8(`${module}.weight_scale`, [rows, columns / 16], "F8_E4M3"),
  f32(`${module}.weight_global_scale`, global),
];
const modelOpt = (module: string, scale = 0.25): TensorToWrite[] => [
  u8(`${module}.weight`, [rows, columns / 2]),
  u8(`${module}.weight_scale`, [rows, columns / 16], "F8_E4M3"),
  f32(`${module}.weight_scale_2`, scale, []),
];

const found = (tensors: readonly TensorToWrite[]) =>
  inDirectory((directory) => {
    right(writeSafetensors(join(directory, "model.safetensors"), tensors));
    return storedWeights(right(openCheckpoint(directory)));
  });
const without = (tensors: readonly TensorToWrite[], name: string) =>
  tensors.filter((one) => one.name !== name);
const instead = (tensors: readonly TensorToWrite[], own: TensorToWrite) =>
  tensors.map((one) => (one.name === own.name ? own : one));

test("plain and quantised layers side by side, in both forms", async () => {
  const { linears, plain: rest } = right(
    await found([
      ...packed("a", 8),
      f32("a.input_global_scale", 3),
      ...modelOpt("b", 0.5),
      f32("b.input_scale", 0.125, []),
      plain("c.weight"),
      f32("norm.weight", 1),
      f32("k.k_scale", 1, []),
    ]),
  );
  assert.equal([...linears.keys()].sort(), ["a.weight", "b.weight"]);
  assert.equal([...rest.keys()].sort(), ["c.weight", "k.k_scale", "norm.weight"]);
  const [a, b] = [linears.get("a.weight")!, linears.get("b.weight")!];
  assert.equal(a.shape, [rows, columns]);
  assert.equal(
    [a.format, a.tensorScale, a.stored, a.input!.value],
    ["compressed-tensors", 0.125, { name: "a.weight_global_scale", value: 8, form: "divide", shape: [1] }, 3],
  );
  assert.equal(
    [b.format, b.tensorScale, b.stored!.form, b.stored!.shape, b.input!.form],
    ["modelopt", 0.5, "multiply", [], "multiply"],
  );
  assert.is(a.codes.bytes, (rows * columns) / 2);
  assert.is(a.scales.bytes, (rows * columns) / 16);
});

test("q, k and v may have scales of their own, and a tensor of zeros the scale 0", async () => {
  const { linears } = right(await found([...modelOpt("q", 1), ...modelOpt("k", 2), ...modelOpt("v", 0)]));
  assert.equal(
    ["q", "k", "v"].map((one) => linears.get(`${one}.weight`)!.tensorScale),
    [1, 2, 0],
  );
});

const refusals: readonly [string, TensorToWrite[], readonly string[]][] = [
  [
    "no block scales",
    without(packed("m"), "m.weight_scale"),
    ["weight_scale must be there", "m.weight_packed alone"],
  ],
  ["no tensor scale", without(packed("m"), "m.weight_global_scale"), ["weight_global_scale must be there"]],
  [
    "no tensor scale of ModelOpt",
    without(modelOpt("m"), "m.weight_scale_2"),
    ["weight_scale_2 must be there"],
  ],
  [
    "no codes",
    without(packed("m"), "m.weight_packed"),
    ["the codes, weight_packed or weight, must be there"],
  ],
  [
    "a packed weight alone",
    [u8("m.weight", [4, 16])],
    ["weight_scale and weight_scale_2 must be there; given m.weight alone; at m.weight"],
  ],
  [
    "the other's tensor scale",
    [...without(packed("m"), "m.weight_global_scale"), f32("m.weight_scale_2", 1)],
    ["weight_global_scale must be there", "m.weight_packed with m.weight_scale_2 alone"],
  ],
  [
    "two tensor scales",
    [...packed("m"), f32("m.weight_scale_2", 1)],
    ["must have one scale of its tensor", "m.weight_global_scale and m.weight_scale_2"],
  ],
  [
    "two forms",
    [...packed("m"), plain("m.weight")],
    ["must be stored in one form", "m.weight_packed and m.weight"],
  ],
  ["the other's input scale", [...packed("m"), f32("m.input_scale", 1)], ["its own kind of input scale"]],
  [
    "an input scale of a plain weight",
    [plain("m.weight"), f32("m.input_scale", 1)],
    ["quantised weights must be there"],
  ],
  [
    "FP8",
    [u8("m.weight", [4, 32], "F8_E4M3"), f32("m.weight_scale", 1)],
    ["unsupported: ", "a weight with scales must be NVFP4", "F8_E4M3 beside m.weight_scale"],
  ],
  [
    "packed integers",
    [...packed("m"), u8("m.weight_shape", [2])],
    ["of quantised forms only NVFP4 can be read"],
  ],
  [
    "K no multiple of 16",
    instead(packed("m"), u8("m.weight_packed", [4, 12])),
    ["K, the last axis, must be a positive multiple of 16", "K = 24"],
  ],
  [
    "codes of three axes",
    instead(packed("m"), u8("m.weight_packed", [4, 16, 1])),
    ["codes must be U8 [N, K/2]"],
  ],
  [
    "codes as I8",
    instead(packed("m"), u8("m.weight_packed", [4, 16], "I8")),
    ["codes must be U8 [N, K/2]", "I8 [4, 16]"],
  ],
  [
    "scales misshapen",
    instead(packed("m"), u8("m.weight_scale", [4, 3], "F8_E4M3")),
    ["block scales must have the shape [4, 2]", "given F8_E4M3 [4, 3]"],
  ],
  [
    "scales of another type",
    instead(packed("m"), u8("m.weight_scale", [4, 2])),
    ["block scales must be stored as F8_E4M3", "given U8", "at m.weight_scale"],
  ],
  [
    "a list of tensor scales",
    instead(packed("m"), f32("m.weight_global_scale", [1, 2], [2])),
    ["must be one F32"],
  ],
  [
    "a tensor scale as bytes",
    instead(packed("m"), u8("m.weight_global_scale", [1])),
    ["must be one F32", "given U8 [1]"],
  ],
  [
    "a tensor scale of NaN",
    packed("m", Number.NaN),
    ["must be finite and above 0", "given NaN", "m.weight_global_scale"],
  ],
  ["division by zero", packed("m", 0), ["must be finite and above 0", "given 0"]],
  ["a divisor whose inverse is infinite", packed("m", 2 ** -140), ["and so must its inverse"]],
  ["a negative scale", modelOpt("m", -1), ["must be finite and not negative", "given -1"]],
  ["an infinite scale", modelOpt("m", Number.POSITIVE_INFINITY), ["must be finite and not negative"]],
];

for (const [what, tensors, parts] of refusals) {
  test(`refused with its name: ${what}`, async () => {
    refusedWith(await found(tensors), ...parts);
  });
}

test("all faults are told together", async () => {
  const lines = left(await found([...without(packed("a"), "a.weight_scale"), ...modelOpt("b", Number.NaN)]));
  assert.is(lines.length, 2);
});

test("block scales that are NaN or negative are named by row and block; zero is none of them", () =>
  inDirectory(async (directory) => {
    const scales = Uint8Array.of(0, 0x80, 0x7e, 0x38, 1, 2, 3, 4);
    const write = (own: Uint8Array) => {
      const tensor = { ...u8("m.weight_scale", [rows, 2], "F8_E4M3"), data: own };
      right(writeSafetensors(join(directory, "model.safetensors"), instead(packed("m"), tensor)));
      return [...right(storedWeights(right(openCheckpoint(directory)))).linears.values()];
    };
    right(await checkScales(write(scales)));
    for (const [code, told] of [
      [0x7f, "NaN"],
      [0xff, "NaN"],
      [0x81, "-0.00195"],
    ] as const) {
      const broken = scales.slice();
      broken[5] = code;
      refusedWith(
        await checkScales(write(broken)),
        "block scales must be numbers of at least 0",
        `given ${told}`,
        "row 2, block 1",
        "at m.weight_scale",
      );
    }
  }));

const dat = (key: string, elementType: DatElementType, shape: readonly number[], data: ArrayBufferView) =>
  ({
    key,
    elementType,
    shape,
    data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  }) satisfies DatTensorToWrite;
const qdata = (key: string) => dat(key, 0, [rows, columns / 2], bytes((rows * columns) / 2));
const foundDat = (tensors: readonly DatTensorToWrite[]) =>
  inDirectory(async (directory) => {
    right(await writeDat(join(directory, "model.dat"), tensors));
    const stored = storedWeights(right(openCheckpoint(directory)));
    return { stored, codes: "right" in stored ? await codesOf([...stored.right.linears.values()]) : [] };
  });
const codesOf = (linears: readonly Parameters<typeof scaleCodesOf>[0][]) =>
  Promise.all(linears.map(scaleCodesOf));

test("both forms of keys, and each type of block scale", async () => {
  const values = [0, 0.5, 1, 448, 2 ** -9, 2, 3, 0.25];
  const codes = Uint8Array.of(0, 0x30, 0x38, 0x7e, 1, 0x40, 0x44, 0x28);
  const halves = Uint16Array.of(0, 0x3800, 0x3c00, 0x5f00, 0x1800, 0x4000, 0x4200, 0x3400);
  const { stored, codes: read } = await foundDat([
    qdata("a.weight.qdata"),
    dat("a.weight.scale", 101, [rows, 2], codes),
    dat("b.scale", 0, [rows, 2], codes),
    qdata("b.qdata"),
    dat("norm.weight", 5, [2], Uint16Array.of(1, 2)),
    { ...qdata("c.qdata"), elementType: 100 },
    dat("c.scale", 6, [rows, 2], Float32Array.from(values)),
    qdata("d.weight.qdata"),
    dat("d.weight.scale", 5, [rows, 2], halves),
  ]);
  assert.equal([...right(stored).linears.keys()], ["a.weight", "b.weight", "c.weight", "d.weight"]);
  for (const linear of right(stored).linears.values()) {
    assert.equal(
      [linear.format, linear.tensorScale, linear.stored, linear.input],
      ["dat", 1, undefined, undefined],
    );
  }
  for (const one of read) assert.equal(right(one), codes);
  assert.equal([...right(stored).plain.keys()], ["norm.weight"]);
});

test("of a stream: half a pair, both forms of one key, another scale, and a scale that E4M3 does not have", async () => {
  const scale = (key: string, type: DatElementType = 101) => dat(key, type, [rows, 2], bytes(rows * 2));
  refusedWith(
    (await foundDat([qdata("a.qdata")])).stored,
    "a.scale must be there",
    "given a.qdata alone",
    "at a.weight",
  );
  refusedWith((await foundDat([scale("a.weight.scale")])).stored, "a.weight.qdata must be there");
  refusedWith(
    (await foundDat([qdata("a.qdata"), scale("a.scale"), qdata("a.weight.qdata"), scale("a.weight.scale")]))
      .stored,
    "must be stored in one form",
    "a.qdata and a.weight.qdata",
    "at a.weight",
  );
  const whole = dat("a.weight", 6, [rows, columns], new Float32Array(rows * columns));
  refusedWith(
    (await foundDat([qdata("a.qdata"), scale("a.scale"), whole])).stored,
    "must be stored in one form",
  );
  const brains = dat("a.scale", 15, [rows, 2], new Uint16Array(rows * 2));
  refusedWith(
    (await foundDat([qdata("a.qdata"), brains])).stored,
    "block scales must be stored as F8_E4M3 or U8 or F16 or F32; given BF16",
  );
  for (const [value, requirement] of [
    [1.03, "block scales must be values that E4M3 has; given 1.02"],
    [500, "block scales must be values that E4M3 has; given 500"],
    [Number.NaN, "block scales must be numbers of at least 0; given NaN"],
  ] as const) {
    const scales = Float32Array.from({ length: rows * 2 }, (_, i) => (i === 3 ? value : 1));
    const { codes } = await foundDat([qdata("a.qdata"), dat("a.scale", 6, [rows, 2], scales)]);
    refusedWith(codes[0]!, requirement, "row 1, block 1", "at a.scale");
  }
});

test.run();
