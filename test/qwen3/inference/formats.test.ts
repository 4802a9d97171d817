/** Linears that are quantised while they are loaded: whose rule decides, the bytes, and what is refused. */
import { join } from "node:path";
import { encodeScaleName, linearPaths, rowScalesName, tensorScaleName } from "@weft/compiler";
import { encodeFp8 } from "@weft/dsl";
import {
  type FormatRule,
  logitsOf,
  logitsOpenOptions,
  type OpenOptions,
  openCheckpoint,
  openQwen3,
  prepareQwen3,
  type QuantizeOptions,
  quantizeCheckpoint,
  readPart,
  readTensor,
  scaleCodesOf,
  storedWeights,
  writeSafetensors,
} from "@weft/qwen3";
import type { DataWeight } from "@weft/runtime";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { encodedWeights } from "../../../packages/qwen3/src/inference/encoded-weights.ts";
import { writeCheckpoint } from "../../support/checkpoints.ts";
import { fixtures, inDirectory, left, right } from "../weights/files.ts";
import { rejectsWith } from "./support.ts";

const test = suite("qwen3/inference: formats");

const tied = join(fixtures, "tiny-tied");
const quantizedFixture = join(fixtures, "nvfp4/compressed-tensors");
const tokens = [1, 45, 7, 319, 0, 200];
const inBlocks: FormatRule = { pattern: "model.layers.*", format: "nvfp4" };
const head: FormatRule = { pattern: "lm_head", format: "nvfp4" };
const table: FormatRule = { pattern: "model.embed_tokens", format: "nvfp4" };
const plain = (pattern: string): FormatRule => ({ pattern, format: "plain" });

async function logitsFrom(directory: string, options: OpenOptions = {}): Promise<readonly Float32Array[]> {
  const own = { threads: 1, planCache: false, ...logitsOpenOptions(tokens.length), ...options } as const;
  using model = await openQwen3(directory, own);
  const { predicted, measured } = model.memory();
  assert.equal(measured, predicted);
  return (await logitsOf(model, tokens)).logits;
}

const cases: readonly { rules: readonly FormatRule[]; written: Partial<QuantizeOptions>; count: number }[] = [
  { rules: [inBlocks], written: {}, count: 14 },
  { rules: [inBlocks], written: { fourOverSix: true }, count: 14 },
  { rules: [inBlocks, head], written: { head: true }, count: 15 },
  { rules: [inBlocks, table], written: { embedding: true }, count: 15 },
  { rules: [inBlocks, plain("*.0.mlp.*")], written: { exclude: ["*.0.mlp.*"] }, count: 11 },
];

for (const { rules, written, count } of cases) {
  const { fourOverSix } = written;
  test(`${JSON.stringify([...rules.map(({ pattern }) => pattern), written])}: the bytes and logits of a file`, () =>
    inDirectory(async (folder) => {
      const directory = join(folder, "out");
      const format = "compressed-tensors";
      right(await quantizeCheckpoint({ model: tied, directory, format, ...written }));
      const { linears } = right(storedWeights(right(openCheckpoint(directory))));
      const { parameters, bound } = right(prepareQwen3(tied, { quantize: rules, fourOverSix }));
      const encoded = await encodedWeights(parameters, bound);
      assert.is(linears.size, count);
      assert.equal(
        Object.keys(encoded).sort(),
        [...linears.keys()].flatMap((name) => [name, tensorScaleName(name), encodeScaleName(name)]).sort(),
      );
      for (const [name, linear] of linears) {
        const { data, scales } = encoded[name]! as DataWeight & { readonly data: Uint8Array };
        assert.equal(data, new Uint8Array(await readPart(linear.codes)), name);
        assert.equal(scales, right(await scaleCodesOf(linear)), name);
        const scale = encoded[tensorScaleName(name)]!.data as Float32Array;
        assert.is(scale[0], linear.tensorScale, name);
        const encodeScale = encoded[encodeScaleName(name)]!.data as Float32Array;
        assert.is(encodeScale[0], linear.stored!.value, name);
      }
      assert.equal(await logitsFrom(tied, { quantize: rules, fourOverSix }), await logitsFrom(directory));
    }));
}

test("fp8: a code for each weight and a scale for each row, of a head of its own or of the table", async () => {
  const fp8 = (pattern: string): FormatRule => ({ pattern, format: "fp8" });
  const entries = right(openCheckpoint(tied)).tensors;
  const cases = [
    { rules: [fp8("lm_head")], names: ["lm_head.weight"] },
    { rules: [fp8("*.embed_tokens"), fp8("*.0.*.o_proj"), { pattern: "*.1.*.o_proj", format: "nvfp4" }] },
  ] as const;
  for (const { rules } of cases) {
    const { parameters, bound, weights } = right(prepareQwen3(tied, { quantize: rules }));
    const encoded = await encodedWeights(parameters, bound);
    for (const { name, format, entry } of bound.encode.values()) {
      assert.not.ok(name in weights);
      if (format !== "fp8") continue;
      const expected = encodeFp8(readTensor(entries.get(entry.name)!), entry.shape[1]!);
      assert.equal(encoded[name]!.data, expected.codes, name);
      assert.equal(encoded[rowScalesName(name)]!.data, expected.scales, name);
    }
    const [logits] = await logitsFrom(tied, { quantize: rules });
    const [plainLogits] = await logitsFrom(tied);
    const off = logits!.reduce((most, value, i) => Math.max(most, Math.abs(value - plainLogits![i]!)), 0);
    const largest = plainLogits!.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    assert.ok(off > 0 && off < 0.1 * largest, `${off} of ${largest}`);
  }
  assert.is(right(prepareQwen3(tied, { quantize: cases[0].rules })).config.tiedEmbeddings, false);
  assert.is(right(prepareQwen3(tied, { quantize: cases[1].rules })).config.tiedEmbeddings, true);
});

test("the last rule that fits decides about a linear, and about what it is multiplied with", () => {
  const { compiled } = right(
    prepareQwen3(tied, {
      quantize: [inBlocks, plain("*.down_proj"), { pattern: "model.layers.1.*.down_proj", format: "nvfp4" }],
      activations: [{ pattern: "*.mlp.*", format: "nvfp4" }, plain("re:.*gate")],
    }),
  );
  const found = new Map(
    linearPaths(compiled)
      .filter(({ program }) => program === "decode")
      .map(({ path, storage, activations, reasons }) => [path, [storage, activations, ...reasons]]),
  );
  const asked = (rule: string) => `stored as nvfp4: asked for by ${rule}, encoded at load`;
  assert.equal(found.get("model.layers.0.self_attn.o_proj"), [
    "nvfp4",
    "plain",
    asked("model.layers.*=nvfp4"),
    "dequantised exactly in the product: nothing asks for activations in nvfp4",
  ]);
  assert.equal(found.get("model.layers.0.mlp.down_proj"), [
    "bf16",
    "plain",
    "not quantised: the checkpoint has it in BF16, and asked for by *.down_proj=plain",
  ]);
  assert.equal(found.get("model.layers.1.mlp.down_proj"), [
    "nvfp4",
    "nvfp4",
    asked("model.layers.1.*.down_proj=nvfp4"),
    "both sides in nvfp4: asked for by *.mlp.*=nvfp4, with scales of blocks alone",
  ]);
  assert.equal(found.get("model.layers.1.mlp.gate_proj")!.slice(1), [
    "plain",
    asked("model.layers.*=nvfp4"),
    "dequantised exactly in the product: asked for by re:.*gate=plain",
  ]);
  assert.match(found.get("lm_head")!.at(-1)!, "and no pattern asks for it");
});

test("a quantised checkpoint keeps its codes, and more of it can be quantised", async () => {
  const { bound, config } = right(prepareQwen3(quantizedFixture, { quantize: [inBlocks, head] }));
  assert.equal([...bound.encode.keys()], ["model.layers.1.mlp.down_proj.weight", "lm_head.weight"]);
  assert.is(bound.linears.size, 13);
  assert.is(config.tiedEmbeddings, false);
  const lines = left(prepareQwen3(quantizedFixture, { quantize: [plain("*.0.mlp.up_proj")] }));
  assert.match(lines.join("\n"), /its codes are kept; given \*\.0\.mlp\.up_proj=plain/);
});

test("patterns that fit nothing name what would, and contradictions are refused", () => {
  const refused = (options: OpenOptions, directory = tied) =>
    left(prepareQwen3(directory, options)).join("\n");
  const quantize = (pattern: string) => refused({ quantize: [{ pattern, format: "nvfp4" }] });
  assert.match(
    quantize("layers.*.mlp.*"),
    /must fit linears of the model; given layers.* did you mean \*\.layers\.\*\.mlp\.\*\?/,
  );
  assert.match(quantize("model.layers.*.mpl.*"), /did you mean model\.layers\.\*\.mlp\.\*\?/);
  assert.match(quantize("*.down_prj"), /did you mean \*\.down_proj\?/);
  assert.match(
    quantize("model.layers.0.self_attn.q_prj"),
    /did you mean model\.layers\.0\.self_attn\.q_proj\?/,
  );
  assert.match(quantize("something else altogether"), /names are whole, as model\.layers\.\*\./);
  assert.match(quantize("model.norm"), /must fit linears of the model/);
  assert.match(quantize("re:("), /regular expression/);
  assert.match(
    refused({ quantize: [{ pattern: "*", format: "fp4" as never }] }),
    /must be plain, nvfp4 or fp8; given "fp4"/,
  );
  assert.match(refused({ quantize: [table, plain("lm_head")] }), /has the table's format/);
  assert.match(refused({ quantize: [table, { ...head, format: "fp8" }] }), /given lm_head=fp8/);
  assert.match(
    refused({ quantize: [{ pattern: "*.mlp.*", format: "fp8" }] }, quantizedFixture),
    /its codes are kept; given \*\.mlp\.\*=fp8/,
  );
  const fp8Alone = { quantize: [{ ...head, format: "fp8" }], activations: "nvfp4" } as const;
  assert.match(refused(fp8Alone), /given no weight in nvfp4/);
  assert.match(
    refused({ quantize: [{ ...head, format: "fp8" }], fourOverSix: true }),
    /fourOverSix must go with weights that are put into nvfp4/,
  );
  assert.match(refused({ activations: "nvfp4" }), /given no weight in nvfp4/);
  assert.match(refused({ activations: "fp4" as never }), /must be plain or nvfp4, or rules; given "fp4"/);
  const both = { quantize: [inBlocks], activations: [{ pattern: "lm_head", format: "nvfp4" }] } as const;
  assert.match(refused(both), /must fit linears in nvfp4; given lm_head/);
});

test("rows that are no whole blocks are refused with their names, and can be left plain", () =>
  inDirectory(async (directory) => {
    const shape = { hidden: 32, layers: 1, heads: 2, kvHeads: 1, headDim: 16, intermediate: 24, vocab: 320 };
    const tensors = writeCheckpoint(directory, shape);
    const lines = left(prepareQwen3(directory, { quantize: [inBlocks] }));
    assert.is(lines.length, 1, lines.join());

    assert.match(
      lines[0],
      /multiple of 16; given \[32, 24\]; at .*; leave it plain: model\.layers\.0\.mlp\.down_proj=plain/,
    );
    const rules = [inBlocks, plain("*.down_proj")];
    const [logits] = await logitsFrom(directory, { quantize: rules });
    assert.ok(logits!.every(Number.isFinite));
    const broken = "model.layers.0.mlp.up_proj.weight";
    right(
      writeSafetensors(
        join(directory, "model.safetensors"),
        tensors.map((one) =>
          one.name === broken
            ? { ...one, data: (one.data as Float32Array).slice().fill(Number.NaN, 5, 6) }
            : one,
        ),
      ),
    );
    await rejectsWith(() => openQwen3(directory, { quantize: rules, checkWeights: false }), broken);
    // FP8 has no blocks, so that it takes any rows.
    const coded: FormatRule[] = [{ pattern: "model.layers.*", format: "fp8" }];
    await rejectsWith(() => openQwen3(directory, { quantize: coded, checkWeights: false }), broken);
    const [others] = await logitsFrom(directory, {
      quantize: [...coded, plain("*.up_proj")],
      checkWeights: false,
    });
    assert.is(others!.length, shape.vocab);
  }));

test.run();
