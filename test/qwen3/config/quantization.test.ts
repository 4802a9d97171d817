/** What config.json and hf_quant_config.json say about quantised weights, and whether the tensors agree. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  moduleTest,
  parseQuantizationConfig,
} from "../../../packages/qwen3/src/config/quantization/index.ts";
import {
  checkAgreement,
  openCheckpoint,
  type QuantizationConfig,
  readQuantizationConfigs,
  storedWeights,
} from "../../../packages/qwen3/src/index.ts";
import { fixtures, inDirectory, left, refusedWith, right } from "../weights/files.ts";

const test = suite("qwen3/config: quantisation");

const weights = { num_bits: 4, type: "float", strategy: "tensor_group", group_size: 16, symmetric: true };
const group = (rest: object = {}) => ({ targets: ["Linear"], weights, input_activations: null, ...rest });
const compressed = (rest: object = {}) => ({
  quant_method: "compressed-tensors",
  format: "nvfp4-pack-quantized",
  config_groups: { group_0: group() },
  ignore: ["lm_head"],
  ...rest,
});
const parse = (value: unknown) => parseQuantizationConfig(value, "config.json");

test("the libraries' own configurations are read", () => {
  const [one] = right(readQuantizationConfigs(join(fixtures, "nvfp4/compressed-tensors")));
  assert.equal(
    { ...one!, file: "" },
    {
      file: "",
      method: "compressed-tensors",
      activations: false,
      targets: ["Linear"],
      ignore: ["model.layers.1.mlp.down_proj", "lm_head"],
      kvCache: undefined,
    },
  );
  const both = right(readQuantizationConfigs(join(fixtures, "nvfp4/modelopt")));
  assert.equal(
    both.map(({ method, activations, ignore }) => ({ method, activations, ignore })),
    Array.from({ length: 2 }, () => ({
      method: "modelopt",
      activations: true,
      ignore: ["lm_head", "model.embed_tokens"],
    })),
  );
  assert.equal(right(readQuantizationConfigs(join(fixtures, "tiny"))), []);
});

test("groups, activations and caches", () => {
  assert.is(
    right(parse(compressed({ config_groups: { a: group({ input_activations: weights }) } }))).activations,
    true,
  );
  const mixed = {
    format: "mixed-precision",
    config_groups: { a: group({ format: "nvfp4-pack-quantized" }) },
  };
  assert.equal(right(parse(compressed(mixed))).targets, ["Linear"]);
  const cache = { num_bits: 8, type: "float" };
  assert.is(right(parse(compressed({ kv_cache_scheme: cache }))).kvCache, "fp8");
  const nested = {
    quant_method: "modelopt",
    quantization: { quant_algo: "W4A16_NVFP4", kv_cache_quant_algo: "FP8" },
  };
  assert.equal(right(parse(nested)), {
    file: "config.json: quantization_config",
    method: "modelopt",
    activations: false,
    targets: ["Linear"],
    ignore: [],
    kvCache: "fp8",
  });
});

test("what is no NVFP4, or changes the weights otherwise, is unsupported and named", () => {
  const cases: readonly [object, string][] = [
    [{ quant_method: "gptq" }, 'quant_method must be compressed-tensors or modelopt; given "gptq"'],
    [compressed({ format: "pack-quantized" }), 'format must be nvfp4-pack-quantized; given "pack-quantized"'],
    [compressed({ config_groups: {} }), "config_groups must be an object with at least one group"],
    [
      compressed({ config_groups: { g: group({ weights: { ...weights, group_size: 32 } }) } }),
      "groups of 16",
    ],
    [
      compressed({ config_groups: { g: group({ weights: { ...weights, type: "int" } }) } }),
      "at config_groups.g",
    ],
    [
      compressed({ config_groups: { g: group({ input_activations: { num_bits: 8, type: "float" } }) } }),
      "input_activations must be null, or floats of 4 bits",
    ],
    [compressed({ transform_config: { r: 1 } }), "transform_config must be empty"],
    [compressed({ sparsity_config: { format: "sparse-24-bitmask" } }), "sparsity_config must be empty"],
    [compressed({ kv_cache_scheme: { num_bits: 4, type: "int" } }), "kv_cache_scheme must be null"],
    [{ quant_method: "modelopt", quant_algo: "FP8" }, 'quant_algo must be NVFP4 or W4A16_NVFP4; given "FP8"'],
    [{ quant_method: "modelopt", quant_algo: "NVFP4", group_size: 32 }, "group_size must be 16"],
    [
      { quant_method: "modelopt", quant_algo: "NVFP4", kv_cache_quant_algo: "INT8" },
      "kv_cache_quant_algo must be null or FP8",
    ],
  ];
  for (const [value, part] of cases) refusedWith(parse(value), "unsupported: ", part);
  refusedWith(parse(compressed({ ignore: "lm_head" })), "ignore must be a list of strings");
  refusedWith(parse([]), "must hold a JSON object");
});

test("two places must agree", () =>
  inDirectory((directory) => {
    const write = (name: string, value: unknown) =>
      writeFileSync(join(directory, name), JSON.stringify(value));
    write("config.json", { quantization_config: { quant_method: "modelopt", quant_algo: "NVFP4" } });
    write("hf_quant_config.json", { quantization: { quant_algo: "NVFP4", exclude_modules: ["lm_head"] } });
    assert.is(right(readQuantizationConfigs(directory)).length, 2);
    write("hf_quant_config.json", { quantization: { quant_algo: "W4A16_NVFP4" } });
    refusedWith(
      readQuantizationConfigs(directory),
      "hf_quant_config.json] must agree with quantization_config of config.json",
      "modelopt without activations, there modelopt with activations",
    );
    write("hf_quant_config.json", { producer: {} });
    refusedWith(readQuantizationConfigs(directory), "must hold an object named quantization");
  }));

test("patterns: names, regular expressions from the beginning on, wildcards across dots", () => {
  const fits = (pattern: string, module: string) => right(moduleTest(pattern, "here"))(module);
  const module = "model.layers.11.mlp.down_proj";
  for (const pattern of [
    module,
    "re:.*down_proj",
    "re:model\\.layers\\.1",
    "*.down_proj",
    "model.layers.1?.mlp*",
    "model.layers.[0-9][0-9].*",
    "model.layers.[!0]1.mlp.down_proj",
  ]) {
    assert.ok(fits(pattern, module), pattern);
  }
  for (const pattern of [
    "down_proj",
    "re:down_proj",
    "model.layers.1",
    "model.layers.?.mlp*",
    "modelxlayers*",
    "*.down",
  ]) {
    assert.not.ok(fits(pattern, module), pattern);
  }
  refusedWith(moduleTest("re:(", "here"), "[here] a pattern must be", "re:(");
});

test("what contradicts the tensors is named by them", () => {
  const stored = right(storedWeights(right(openCheckpoint(join(fixtures, "nvfp4/compressed-tensors")))));
  const [config] = right(readQuantizationConfigs(join(fixtures, "nvfp4/compressed-tensors")));
  const check = (rest: Partial<QuantizationConfig>) => checkAgreement({ ...config!, ...rest }, stored);
  right(check({}));
  right(check({ ignore: ["lm_head", "re:.*layers\\.1\\.mlp\\.down_proj"] }));
  right(check({ targets: ["re:.*self_attn.*", "*.gate_proj", "*.up_proj"], ignore: [] }));
  refusedWith(
    check({ ignore: [] }),
    "what it quantises must be quantised",
    "at model.layers.1.mlp.down_proj.weight",
  );
  refusedWith(
    check({ ignore: ["re:.*mlp.*"] }),
    "what it leaves out must be plain",
    "at model.layers.0.mlp.down_proj.weight_packed, ",
    " and 2 more",
  );
  assert.is(left(check({ method: "modelopt" })).length, 1);
  refusedWith(check({ method: "modelopt" }), "the weights must be stored as modelopt has it", "and 10 more");
  // ModelOpt leaves out what lies below a name.
  const other = right(storedWeights(right(openCheckpoint(join(fixtures, "nvfp4/modelopt")))));
  const [own] = right(readQuantizationConfigs(join(fixtures, "nvfp4/modelopt")));
  right(checkAgreement(own!, other));
  refusedWith(
    checkAgreement({ ...own!, ignore: ["model.layers.0"] }, other),
    "what it leaves out",
    "and 4 more",
  );
});

test.run();
