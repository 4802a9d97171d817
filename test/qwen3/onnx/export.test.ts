/** Checkpoints as ONNX models, run by onnxruntime: prefill, then steps on the cache that it gave back. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatProblems, orThrow } from "@weft/dsl";
import { exportOnnx, logitsOf, logitsOpenOptions, readQwen3Config } from "@weft/qwen3";
import { isLeft } from "fp-ts/lib/Either.js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { oracleNames, oracleOf } from "../../parity/oracle.ts";
import { largestDifference } from "../../support/largest-difference.ts";
import { fixtures, openOn } from "../../support/models.ts";
import { floats, indices, numbersOf, type OnnxTensor, openOnnx } from "../../support/onnx.ts";

const test = suite("ONNX models of checkpoints");
let folder = "";
test.before(() => {
  folder = mkdtempSync(join(tmpdir(), "weft-onnx-"));
});
test.after(() => rmSync(folder, { recursive: true, force: true }));

/** The row `oracle-f32` of docs/numerics.md. */
const tolerance = 1e-4;

for (const name of oracleNames) {
  // One with its weights inside, one with bf16 weights and a tied head in a file of their own.
  const largestInline = name === "tiny" ? undefined : 0;
  test(`${name}: prefill and decode give our logits and the oracle's`, async () => {
    const { directory, tokens, logits } = oracleOf(name);
    const file = join(folder, `${name}.onnx`);
    const place = largestInline === undefined ? {} : { largestInline };
    const exported = orThrow(await exportOnnx({ directory, file, ...place }));
    assert.is(existsSync(`${file}.data`), largestInline === 0);
    assert.equal(exported.inputs, [
      "input_ids",
      ...[0, 1].flatMap((layer) => ["key", "value"].map((part) => `past_key_values.${layer}.${part}`)),
    ]);
    assert.is(exported.outputs[0], "logits");
    const config = orThrow(readQwen3Config(directory));
    using model = await openOn("cpu", directory, logitsOpenOptions(tokens.length, "whole", config.layers));
    const own = (await logitsOf(model, tokens, { mode: "whole" })).logits;
    const session = await openOnnx(file);
    let cache = new Map<string, OnnxTensor>(
      exported.inputs
        .slice(1)
        .map((input) => [input, floats(new Float32Array(0), [1, config.kvHeads, 0, config.headDim])]),
    );
    let at = 0;
    for (const count of [10, 1, 1, 5, 1, 6]) {
      const ids = tokens.slice(at, at + count);
      const results = await session.run({
        input_ids: indices(ids, [1, count]),
        ...Object.fromEntries(cache),
      });
      assert.equal([...results.logits!.dims], [1, count, config.vocabSize]);
      const values = numbersOf(results.logits!);
      const rows = ids.map((_, row) => values.subarray(row * config.vocabSize, (row + 1) * config.vocabSize));
      for (const expected of [logits, own]) {
        const difference = largestDifference(rows, expected.slice(at, at + count));
        assert.ok(difference <= tolerance, `tokens from ${at} on differ by ${difference}`);
      }
      at += count;
      cache = new Map(
        [...cache.keys()].map((input) => [input, results[input.replace("past_key_values", "present")]!]),
      );
      assert.equal([...cache.values()][0]!.dims[2], at);
    }
    assert.is(at, tokens.length);
    await session.release();
  });
}

test("what cannot be exported or written is told, and nothing is left behind", async () => {
  const messageOf = async (directory: string, file: string) => {
    const result = await exportOnnx({ directory, file });
    assert.ok(isLeft(result));
    return formatProblems((result as { left: Parameters<typeof formatProblems>[0] }).left);
  };
  const own = join(folder, "refused");
  mkdirSync(own);
  const file = join(own, "model.onnx");
  assert.match(
    await messageOf(join(fixtures, "nvfp4/compressed-tensors"), file),
    /^unsupported: \[onnx\] standard ONNX operators do not read quantised weights; given \d+ weights in NVFP4 or FP8; at model\.layers/,
  );
  assert.match(await messageOf(join(folder, "absent"), file), /absent/);
  assert.match(
    await messageOf(join(fixtures, "tiny"), join(own, "no/model.onnx")),
    /must lie in a folder that exists/,
  );
  assert.match(await messageOf(join(fixtures, "tiny"), own), /must be a file; given a folder/);
  assert.equal(readdirSync(own), []);
});

test.run();
