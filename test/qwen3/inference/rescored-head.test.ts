/** A head in NVFP4 or FP8 whose candidates the plain head's rows score again: the plain head's texts, and what it takes. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { costOf, exampleSymbols, linearPaths } from "@weft/compiler";
import {
  type FormatRule,
  generate,
  type OpenOptions,
  prepareQwen3,
  type QuantizeOptions,
  quantizeCheckpoint,
} from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type DeviceName, fixtures, openOn } from "../../support/models.ts";
import { inDirectory, left, right } from "../weights/files.ts";

const test = suite("a rescored head");

const [tied, untied] = [join(fixtures, "tiny-tied"), join(fixtures, "tiny")];
const headIn = (format: "nvfp4" | "fp8"): readonly FormatRule[] => [{ pattern: "lm_head", format }];
const head = headIn("nvfp4");
const prompts = [[1, 45, 7], [72, 101], [200], [9, 9, 3, 77]];
const maxTokens = 12;

async function greedy(device: DeviceName, directory: string, options: OpenOptions): Promise<number[][]> {
  const { device: _, ...rest } = { planCache: false as const, capacity: 32, chunk: 4, ...options };
  using model = await openOn(device, directory, rest);
  const texts: number[][] = [];
  for (const prompt of prompts) {
    const generation = generate(model, prompt, { maxTokens, temperature: 0, ignoreEos: true, text: false });
    texts.push([...(await generation.finish()).tokens]);
  }
  return texts;
}

const cases = [
  ["nvfp4", tied, "f32", "model.embed_tokens.weight"],
  ["nvfp4", tied, "bf16", "model.embed_tokens.weight"],
  ["nvfp4", untied, "f32", "lm_head.weight.plain"],
  ["fp8", tied, "f32", "model.embed_tokens.weight"],
  ["fp8", tied, "bf16", "model.embed_tokens.weight"],
  ["fp8", untied, "f32", "lm_head.weight.plain"],
] as const;

for (const [format, directory, dtype, rows] of cases)
  test(`${format}, ${rows}, ${dtype}: greedy texts are those of the plain head, on every device`, async () => {
    const quantize = headIn(format);
    const plain = await greedy("cpu", directory, { dtype });
    const { formats } = right(prepareQwen3(directory, { quantize, dtype }));
    assert.is(formats.plainHead?.name, rows);
    for (const device of ["cpu", "cuda-sim", "interpreter"] as const)
      assert.equal(await greedy(device, directory, { quantize, dtype }), plain, device);
    // Without it the head says something else, so the test can fail.
    assert.not.equal(await greedy("cpu", directory, { quantize, dtype, rescore: false }), plain);
  });

const stepsOf = (options: OpenOptions, device: "cpu" | "cuda") => {
  const { compiled } = right(prepareQwen3(tied, { ...options, device, capacity: 32 }));
  const { plan } = compiled;
  const program = plan.programs.find(({ name }) => name === "decode")!;
  return {
    steps: program.steps.length,
    reads: costOf(plan, program, exampleSymbols(plan, program)).reduce(
      (sum, { readBytes }) => sum + readBytes,
      0,
    ),
    head: linearPaths(compiled).find(({ path, program: of }) => path === "lm_head" && of === "decode")!,
  };
};

test("a decode step has eight kernels more, and reads the candidates' rows alone", () => {
  const alone = stepsOf({ quantize: head, rescore: false }, "cuda");
  const scored = stepsOf({ quantize: head }, "cuda");
  const plain = stepsOf({}, "cuda");
  assert.is(alone.steps, plain.steps);
  assert.is(scored.steps, plain.steps + 8);
  const [vocab, hidden] = [320, 64];
  // 16 bits a weight, or 4.5, of a matrix of a multiple of 16 rows; and the tensor's scale.
  assert.is(plain.reads - alone.reads, vocab * hidden * (2 - 0.5625) - 4);
  // A byte a weight, and the scales of the rows.
  const coded = stepsOf({ quantize: headIn("fp8"), rescore: false }, "cuda");
  assert.is(coded.steps, plain.steps);
  assert.is(plain.reads - coded.reads, vocab * hidden * (2 - 1) - 4 * vocab);
  assert.is(stepsOf({ quantize: headIn("fp8") }, "cuda").steps, scored.steps);
  const rows = 32 * hidden * 2;
  const more = scored.reads - alone.reads;
  assert.ok(more >= rows && more < rows + 20_000, `${more}`);
});

test("explain says whether the head is scored again, and why not", () => {
  const why = (options: OpenOptions) => stepsOf(options, "cpu").head.reasons[0]!;
  assert.match(why({ quantize: head }), /candidates are scored again by model\.embed_tokens\.weight$/);
  assert.match(why({ quantize: head, rescore: false }), /not scored again: it is switched off$/);
  assert.match(
    why({ quantize: head, logits: "all" }),
    /not scored again: logits of all positions are wanted$/,
  );
  const table: FormatRule = { pattern: "model.embed_tokens", format: "nvfp4" };
  assert.match(why({ quantize: [table] }), /not scored again: there are no plain rows$/);
});

test("explain says how a head in FP8 is stored and multiplied", () => {
  const { storage, activations, reasons, ways } = stepsOf({ quantize: headIn("fp8") }, "cuda").head;
  assert.equal([storage, activations, ways.map(({ kind }) => kind)], ["f8e4m3", "plain", ["streamed"]]);
  assert.equal(reasons, [
    "stored as fp8: asked for by lm_head=fp8, encoded at load; candidates are scored again by model.embed_tokens.weight",
    "dequantised exactly in the product: fp8 is of weights alone",
  ]);
});

test("a checkpoint with a quantised head has the plain rows in its table, or keeps them where that is asked for", () =>
  inDirectory(async (folder) => {
    const write = async (model: string, name: string, options: Partial<QuantizeOptions> = {}) => {
      const directory = join(folder, name);
      const format = "compressed-tensors";
      right(
        await quantizeCheckpoint({
          exclude: ["model.layers.*"],
          head: true,
          ...options,
          model,
          directory,
          format,
        }),
      );
      return directory;
    };
    const plainHeadOf = (model: string) => right(prepareQwen3(model)).formats.plainHead?.name;
    const fromTied = await write(tied, "tied");
    assert.is(plainHeadOf(fromTied), "model.embed_tokens.weight");
    const kept = await write(untied, "kept", { plainHead: true });
    assert.is(plainHeadOf(kept), "lm_head.weight.plain");
    const lost = await write(untied, "lost");
    assert.is(plainHeadOf(lost), undefined);
    const path = linearPaths(right(prepareQwen3(lost)).compiled).find(({ path }) => path === "lm_head")!;
    assert.match(path.reasons[0]!, /candidates are not scored again: there are no plain rows$/);
    for (const [source, written] of [
      [tied, fromTied],
      [untied, kept],
    ] as const)
      assert.equal(await greedy("cpu", written, {}), await greedy("cpu", source, {}), written);
    assert.not.equal(await greedy("cpu", lost, {}), await greedy("cpu", untied, {}));
    // Another format keeps what is there; a table that is quantised later is no plain row any more.
    const again = async (model: string, directory: string, options: Partial<QuantizeOptions>) => {
      right(await quantizeCheckpoint({ model, directory, format: "modelopt", ...options }));
      return plainHeadOf(directory);
    };
    assert.is(await again(fromTied, join(folder, "again"), {}), "model.embed_tokens.weight");
    assert.is(await again(kept, join(folder, "kept again"), {}), "lm_head.weight.plain");
    assert.is(await again(fromTied, join(folder, "table"), { embedding: true }), undefined);
    const config = join(fromTied, "config.json");
    writeFileSync(
      config,
      readFileSync(config, "utf8").replace('"model.embed_tokens.weight"', '"model.norm.weight"'),
    );
    assert.match(
      left(prepareQwen3(fromTied)).join(),
      /weft_plain_head must be "model\.embed_tokens\.weight"/,
    );
    const refused = await quantizeCheckpoint({
      model: untied,
      directory: join(folder, "x"),
      format: "dat",
      plainHead: true,
    });
    assert.match(left(refused).join(), /needs a head that is quantised/);
  }));

test("all logits stay those of the head in NVFP4", async () => {
  const penalised = async (options: OpenOptions) => {
    using model = await openOn("cpu", tied, {
      planCache: false,
      quantize: head,
      ...options,
      device: undefined,
    } as never);
    const sampling = { temperature: 0, repetitionPenalty: 1.2, maxTokens, ignoreEos: true, text: false };
    return [...(await generate(model, prompts[0]!, sampling).finish()).tokens];
  };
  assert.equal(await penalised({}), await penalised({ rescore: false }));
});

test.run();
