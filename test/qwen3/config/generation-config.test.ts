import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatProblems } from "@weft/dsl";
import * as Either from "fp-ts/lib/Either.js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  parseGenerationConfig,
  readGenerationConfig,
  stopTokenIds,
} from "../../../packages/qwen3/src/config/index.ts";

const test = suite("qwen3/config: generation_config.json");

test("an absent file is an empty configuration", () => {
  const directory = mkdtempSync(join(tmpdir(), "weft-generation-"));
  try {
    const absent = readGenerationConfig(directory, 320);
    assert.ok(Either.isRight(absent));
    assert.equal(absent.right.eosTokenIds, []);
    assert.is(absent.right.temperature, undefined);
    writeFileSync(join(directory, "generation_config.json"), "{]");
    const broken = readGenerationConfig(directory, 320);
    assert.ok(Either.isLeft(broken));
    assert.match(formatProblems(broken.left), /generation_config\.json\] must be valid JSON/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("reads what the released models write", () => {
  const result = parseGenerationConfig(
    {
      bos_token_id: 151643,
      do_sample: true,
      eos_token_id: [151645, 151643],
      temperature: 0.6,
      top_k: 20,
      top_p: 0.95,
    },
    "generation_config.json",
    151936,
  );
  assert.ok(Either.isRight(result));
  assert.equal(result.right, {
    eosTokenIds: [151645, 151643],
    doSample: true,
    temperature: 0.6,
    topK: 20,
    topP: 0.95,
    minP: undefined,
    repetitionPenalty: undefined,
    maxNewTokens: undefined,
  });
});

test("all wrong values are reported together", () => {
  const result = parseGenerationConfig(
    {
      eos_token_id: 400,
      do_sample: "yes",
      temperature: -1,
      top_k: 2.5,
      top_p: 1.5,
      min_p: -0.1,
      repetition_penalty: 0,
    },
    "generation_config.json",
    320,
  );
  assert.ok(Either.isLeft(result));
  const keys = ["eos_token_id", "do_sample", "temperature", "top_k", "top_p", "min_p", "repetition_penalty"];
  assert.is(result.left.length, keys.length);
  for (const key of keys) {
    assert.is(result.left.filter((problem) => problem.requirement.startsWith(`${key} must`)).length, 1, key);
  }
});

test("stop ids are the union of the three files, ascending", () => {
  assert.equal(stopTokenIds({ eosTokenIds: [7] }), [7]);
  assert.equal(
    stopTokenIds({ eosTokenIds: [7] }, { eosTokenIds: [9, 3, 7] }, { eosTokenId: 5 }),
    [3, 5, 7, 9],
  );
  assert.equal(stopTokenIds({ eosTokenIds: [] }, undefined, { eosTokenId: undefined }), []);
});

test.run();
