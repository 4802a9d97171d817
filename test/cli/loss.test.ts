/** `weft loss`: numbers of another implementation, the form of the output, and what is refused. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { tied, tiny, weft, withFolder } from "./command.ts";

const test = suite("weft loss");

interface Oracle {
  readonly tokens: readonly number[];
  readonly loss: number;
  readonly gradients: Readonly<Record<string, readonly (readonly [number, number])[]>>;
}
const oracleOf = (folder: string) => JSON.parse(readFileSync(join(folder, "oracle.json"), "utf8")) as Oracle;

for (const folder of [tiny, tied]) {
  for (const device of ["cpu", "cuda-sim"]) {
    test(`${folder.split("/").at(-1)} on ${device}: the oracle's loss and gradients, as JSON`, async () => {
      const oracle = oracleOf(folder);
      const { code, stdout, stderr } = await weft(
        "loss",
        folder,
        "--tokens",
        oracle.tokens.join(","),
        "--grad",
        "*",
        "--device",
        device,
        "--json",
      );
      assert.is(code, 0, stderr);
      const result = JSON.parse(stdout) as { loss: number; gradients: Record<string, number[]> };
      assert.equal(Object.keys(result), ["loss", "gradients"]);
      assert.ok(Math.abs(result.loss - oracle.loss) < 1e-4 * oracle.loss, String(result.loss));
      const names = Object.keys(oracle.gradients);
      assert.equal(Object.keys(result.gradients).sort(), names.sort());
      for (const name of names) {
        for (const [at, value] of oracle.gradients[name]!) {
          const given = result.gradients[name]![at]!;
          assert.ok(
            Math.abs(given - value) < 1e-5 + 2e-3 * Math.abs(value),
            `${name}[${at}]: ${given}, ${value}`,
          );
        }
      }
    });
  }
}

test("without --json: the loss, and the norm of each gradient", async () => {
  const { code, stdout } = await weft("loss", tiny, "--tokens", "1,2,3,4", "--grad", "model.norm.weight");
  assert.is(code, 0);
  assert.match(
    stdout,
    /^loss \d\.\d{6}, perplexity \d+\.\d{3}\n\ngradient of +elements +norm\n(-+ +-+ +-+\n)?model\.norm\.weight +64 +\d\.\d{4}e[+-]\d\n$/,
  );
});

test("without --grad: only the loss", async () => {
  const { stdout } = await weft("loss", tiny, "--tokens", "1,2,3,4", "--json");
  assert.match(stdout, /^\{"loss":\d\.\d+,"gradients":\{\}\}\n$/);
});

test("a checkpoint in NVFP4, and a plain one that is quantised at load: one loss, and a gradient for each element", () =>
  withFolder(async (folder) => {
    const directory = join(folder, "nvfp4");
    assert.is((await weft("quantize", tied, "--format", "modelopt", "--out", directory)).code, 0);
    const argv = ["--tokens", "5,17,3,44,21", "--grad", "*.1.*.down_proj.weight", "--json"];
    const results = [];
    for (const given of [[directory], [tied, "--quantize", "nvfp4"], [tied]]) {
      const { code, stdout, stderr } = await weft("loss", ...given, ...argv);
      assert.is(code, 0, stderr);
      results.push(JSON.parse(stdout) as { loss: number; gradients: Record<string, number[]> });
    }
    const [stored, encoded, plain] = results;
    assert.equal(stored, encoded);
    assert.is.not(stored!.loss, plain!.loss);
    const name = "model.layers.1.mlp.down_proj.weight";
    for (const { gradients } of results) {
      assert.equal(Object.keys(gradients), [name]);
      assert.is(gradients[name]!.length, 64 * 128);
    }
  }));

for (const [what, argv, sentence] of [
  ["no tokens", [], "[loss] needs token ids; give --tokens, like --tokens 1,2,3"],
  [
    "one token",
    ["--tokens", "1"],
    "[--tokens] must have a token to predict; given 1 token; give at least two",
  ],
  [
    "a pattern that matches nothing",
    ["--tokens", "1,2", "--grad", "layers.*"],
    "[--grad] must match a parameter; given layers.*; parameters are called like model.embed_tokens.weight; * stands for any characters",
  ],
] as const) {
  test(`refuses ${what}`, async () => {
    const { code, stdout, stderr } = await weft("loss", tiny, ...argv);
    assert.is(code, 2);
    assert.is(stdout, "");
    assert.ok(stderr.includes(sentence), stderr);
  });
}

test.run();
