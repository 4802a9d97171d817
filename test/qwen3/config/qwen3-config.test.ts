import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatProblems, type Problems } from "@weft/dsl";
import * as Either from "fp-ts/lib/Either.js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  parseQwen3Config,
  type Qwen3Config,
  readQwen3Config,
} from "../../../packages/qwen3/src/config/index.ts";
import fc from "../../support/fast-check.ts";

const test = suite("qwen3/config: config.json");
const fixtures = join(import.meta.dirname, "../../fixtures");
const valid = JSON.parse(readFileSync(join(fixtures, "tiny/config.json"), "utf8")) as Record<string, unknown>;

const parse = (change: Record<string, unknown>, without: readonly string[] = []) => {
  const json: Record<string, unknown> = { ...valid, ...change };
  for (const key of without) delete json[key];
  return parseQwen3Config(JSON.parse(JSON.stringify(json)), "config.json");
};
const accepted = (result: Either.Either<Problems, Qwen3Config>): Qwen3Config => {
  if (Either.isLeft(result)) throw new Error(formatProblems(result.left));
  return result.right;
};
const refused = (result: Either.Either<Problems, unknown>): string[] => {
  if (Either.isRight(result)) throw new Error(`accepted ${JSON.stringify(result.right)}`);
  return formatProblems(result.left).split("\n");
};
/** The only line must hold all of these. */
const refusedWith = (result: Either.Either<Problems, unknown>, ...parts: string[]) => {
  const lines = refused(result);
  assert.is(lines.length, 1, lines.join("\n"));
  for (const part of parts) assert.ok(lines[0]!.includes(part), `"${part}" in: ${lines[0]}`);
};

test("reads every value of the two fixtures", () => {
  assert.equal(accepted(readQwen3Config(join(fixtures, "tiny"))), {
    file: join(fixtures, "tiny/config.json"),
    hiddenSize: 64,
    layers: 2,
    heads: 4,
    kvHeads: 2,
    headDim: 16,
    intermediateSize: 128,
    vocabSize: 320,
    rmsNormEps: 1e-6,
    ropeTheta: 1e6,
    maxPositions: 512,
    tiedEmbeddings: false,
    attentionBias: false,
    dtype: "f32",
    eosTokenIds: [319],
  });
  const tied = accepted(readQwen3Config(join(fixtures, "tiny-tied")));
  assert.is(tied.tiedEmbeddings, true);
  assert.is(tied.dtype, "bf16");
});

test("an absent directory, broken JSON and JSON that is no object name the file", () => {
  const directory = mkdtempSync(join(tmpdir(), "weft-config-"));
  try {
    refusedWith(readQwen3Config(join(directory, "nowhere")), "config.json] must exist", "no such file");
    writeFileSync(join(directory, "config.json"), '{"model_type": "qwen3",');
    refusedWith(readQwen3Config(directory), "config.json] must be valid JSON");
    for (const text of ["[]", "null", "7", '"qwen3"']) {
      writeFileSync(join(directory, "config.json"), text);
      refusedWith(readQwen3Config(directory), "must hold a JSON object", `given ${text}`);
    }
    writeFileSync(join(directory, "config.json"), `\ufeff${JSON.stringify(valid)}`);
    assert.is(accepted(readQwen3Config(directory)).hiddenSize, 64);
    refusedWith(readQwen3Config(join(directory, "config.json")), "config.json/config.json] must exist");
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("head_dim is its own key; without it hidden_size / heads", () => {
  assert.is(accepted(parse({ head_dim: 32 })).headDim, 32);
  assert.is(accepted(parse({}, ["head_dim"])).headDim, 16);
  assert.is(accepted(parse({ head_dim: null, hidden_size: 96 })).headDim, 24);
  refusedWith(parse({ hidden_size: 65 }, ["head_dim"]), "head_dim must be even", "16.25");
  refusedWith(parse({ head_dim: 17 }), "head_dim must be even", "given 17");
});

test("rope_theta in both spellings", () => {
  assert.is(accepted(parse({ rope_theta: 5e6 })).ropeTheta, 5e6);
  const parameters = { rope_theta: 5e6, rope_type: "default" };
  assert.is(accepted(parse({ rope_parameters: parameters }, ["rope_theta"])).ropeTheta, 5e6);
  assert.is(accepted(parse({ rope_parameters: parameters, rope_theta: 5e6 })).ropeTheta, 5e6);
  assert.is(accepted(parse({ rope_parameters: { rope_type: "default" } })).ropeTheta, 1e6);
  assert.is(accepted(parse({ rope_scaling: { rope_type: "default" } })).ropeTheta, 1e6);
  assert.is(accepted(parse({ rope_scaling: { type: "default" } })).ropeTheta, 1e6);
  refusedWith(parse({ rope_parameters: parameters }), "must agree", "given 1000000 and 5000000");
  refusedWith(parse({}, ["rope_theta"]), "rope_theta must be a number above 0", "no such key");
  refusedWith(parse({ rope_theta: 0 }), "rope_theta", "given 0");
  refusedWith(
    parse({ rope_parameters: { rope_theta: -1 } }, ["rope_theta"]),
    "config.json: rope_parameters",
    "given -1",
  );
});

test("scaled rotary embeddings are refused as unsupported, with the key", () => {
  for (const type of ["yarn", "linear", "dynamic", "llama3", 7]) {
    const shown = JSON.stringify(type);
    refusedWith(
      parse({ rope_scaling: { rope_type: type, factor: 4 } }),
      "unsupported: ",
      "rope_scaling.rope_type",
      `given ${shown}`,
    );
    refusedWith(
      parse({ rope_parameters: { rope_type: type } }),
      "unsupported: ",
      "rope_parameters.rope_type",
    );
  }
  refusedWith(parse({ rope_scaling: { type: "yarn" } }), "unsupported: ", "rope_scaling.type");
  refusedWith(parse({ rope_scaling: "yarn" }), "rope_scaling must be an object or null");
  refusedWith(parse({ partial_rotary_factor: 0.5 }), "unsupported: ", "partial_rotary_factor", "given 0.5");
  refusedWith(
    parse({ rope_parameters: { partial_rotary_factor: 0.25 } }),
    "rope_parameters.partial_rotary_factor",
  );
});

test("each missing value is named, with the key to add", () => {
  for (const key of [
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "intermediate_size",
    "vocab_size",
    "rms_norm_eps",
    "rope_theta",
    "max_position_embeddings",
    "model_type",
  ]) {
    refusedWith(parse({}, [key]), `[config.json] ${key} must be`, "given no such key", `add "${key}"`);
    refusedWith(parse({ [key]: null }), `${key} must be`, "given null");
  }
});

test("all problems are reported together", () => {
  const lines = refused(
    parse(
      {
        hidden_size: -64,
        num_hidden_layers: "2",
        rms_norm_eps: 0,
        tie_word_embeddings: "yes",
        rope_theta: "1e6",
      },
      ["vocab_size"],
    ),
  );
  assert.equal(lines, [
    '[config.json] hidden_size must be an integer from 1 to 2147483647; given -64; correct "hidden_size" in the file',
    '[config.json] num_hidden_layers must be an integer from 1 to 10000; given "2" (a string); correct "num_hidden_layers" in the file',
    '[config.json] vocab_size must be an integer from 1 to 2147483647; given no such key; add "vocab_size" to the file, or fetch it again',
    '[config.json] rms_norm_eps must be a number above 0 and at most 1; given 0; correct "rms_norm_eps" in the file',
    '[config.json] rope_theta must be a number above 0 and at most 1000000000000000; given "1e6" (a string); correct "rope_theta" in the file',
    '[config.json] tie_word_embeddings must be true or false; given "yes" (a string); correct "tie_word_embeddings" in the file',
  ]);
});

test("absurd sizes are refused", () => {
  const sizes = [
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
  ];
  for (const key of sizes) {
    for (const value of [0, -1, 1.5, 2 ** 31, 1e300, "64", true, [64], {}]) {
      const lines = refused(parse({ [key]: value }));
      assert.ok(
        lines.some((line) => line.includes(`${key} must be`)),
        `${key} = ${JSON.stringify(value)}: ${lines.join("\n")}`,
      );
    }
  }
  refusedWith(parse({ rms_norm_eps: 2 }), "rms_norm_eps");
  refusedWith(parse({ rms_norm_eps: -1e-6 }), "rms_norm_eps");
});

test("contradictions are refused", () => {
  refusedWith(
    parse({ num_key_value_heads: 3 }),
    "num_attention_heads must be a multiple of num_key_value_heads",
    "given 4 and 3",
  );
  refusedWith(parse({ num_key_value_heads: 8 }), "multiple", "given 4 and 8");
  refusedWith(parse({ layer_types: ["full_attention"] }), "layer_types", "given 1 entries for 2 layers");
  refusedWith(parse({ eos_token_id: 320 }), "eos_token_id must hold token ids from 0 to 319", "given 320");
  refusedWith(parse({ eos_token_id: [319, -1] }), "eos_token_id", "given -1");
  assert.equal(accepted(parse({ eos_token_id: [319, 317] })).eosTokenIds, [319, 317]);
  assert.equal(accepted(parse({ eos_token_id: null })).eosTokenIds, []);
});

test("other variants of the architecture are refused as unsupported", () => {
  refusedWith(parse({ model_type: "qwen3_moe" }), "unsupported: ", "mixture of experts is not built yet");
  refusedWith(parse({ model_type: "llama", hidden_size: -1 }), "unsupported: ", 'given "llama"');
  refusedWith(parse({ hidden_act: "gelu" }), "unsupported: ", "hidden_act", 'given "gelu"');
  refusedWith(parse({ use_sliding_window: true }), "unsupported: ", "use_sliding_window");
  refusedWith(
    parse({ layer_types: ["full_attention", "sliding_attention"] }),
    "unsupported: ",
    "layer_types[1]",
  );
  refusedWith(
    parse({ torch_dtype: "float8_e4m3fn" }),
    "unsupported: ",
    "torch_dtype",
    'given "float8_e4m3fn"',
  );
  refusedWith(
    parse({ quantization_config: { quant_method: "fp8" } }),
    "unsupported: ",
    "quantization_config",
  );
  assert.is(accepted(parse({ attention_bias: true })).attentionBias, true);
  assert.is(accepted(parse({ dtype: "torch.bfloat16" })).dtype, "bf16");
  assert.is(accepted(parse({}, ["torch_dtype"])).dtype, undefined);
  assert.is(
    accepted(parse({ sliding_window: 4096, layer_types: ["full_attention", "full_attention"] })).layers,
    2,
  );
});

test("a misspelt key is recognised, required or optional", () => {
  refusedWith(
    parse({ hiden_size: 64 }, ["hidden_size"]),
    'did you mean "hidden_size" where it says "hiden_size"',
  );
  refusedWith(
    parse({ num_key_values_heads: 2 }, ["num_key_value_heads"]),
    'did you mean "num_key_value_heads"',
  );
  refusedWith(
    parse({ tie_word_embedings: true }, ["tie_word_embeddings"]),
    'did you mean "tie_word_embeddings"',
  );
  assert.is(accepted(parse({ something_of_its_own: 1 })).layers, 2);
});

test("no JSON value at any key makes it throw, and a refusal always names the file", () => {
  fc.assert(
    fc.property(fc.constantFrom(...Object.keys(valid)), fc.jsonValue(), (key, value) => {
      const result = parse({ [key]: value });
      if (Either.isLeft(result)) for (const line of refused(result)) assert.match(line, /\[config\.json/);
    }),
    { numRuns: 300 },
  );
});

test.run();
