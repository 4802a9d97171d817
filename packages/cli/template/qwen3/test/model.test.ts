/** What the compiler makes of the model. Where a change is meant, write the new number down. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { formatWire, maxSize, orThrow, parametersOf } from "@weft/dsl";
import { compileQwen3, readQwen3Config } from "@weft/qwen3";
import model from "../src/model.ts";

const config = orThrow(readQwen3Config(join(import.meta.dirname, "..")));

test("token ids go in, and logits over the vocabulary of config.json come out", () => {
  assert.equal(formatWire(model.input), "int [...]");
  assert.equal(formatWire(model.output, { sizes: true }), `[..., vocab=${config.vocabSize}]`);
});

test("the parameters are as many as they were", () => {
  const counts = orThrow(parametersOf(model)).map(({ axes }) =>
    axes.reduce((count, { size }) => count * maxSize(size), 1),
  );
  assert.equal(
    counts.reduce((sum, count) => sum + count, 0),
    __PARAMETERS__,
  );
});

test("a decode step runs as many kernels as it did", () => {
  const options = { capacity: 64, chunk: 16, policy: "f32", logits: "last", record: false } as const;
  const { plan } = orThrow(compileQwen3(config, { ...options, storage: () => "f32", model }));
  const decode = plan.programs.find(({ name }) => name === "decode");
  assert.equal(decode?.steps.length, __DECODE_STEPS__);
});
