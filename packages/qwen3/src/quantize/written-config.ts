/** config.json and hf_quant_config.json of a quantised checkpoint, as the readers of each format expect them. */
import type { JsonObject } from "../config/json-file.ts";
import { packedFormat } from "../config/quantization/index.ts";
import { embeddingTable, plainHeadKey } from "../config/qwen3-config.ts";
import type { Nvfp4Format } from "../weights/index.ts";

export interface WrittenConfig {
  readonly format: Nvfp4Format;
  /** Activations were calibrated as well (W4A4). */
  readonly activations: boolean;
  /** Modules of linears that stay plain. */
  readonly plain: readonly string[];
  readonly kvCache: "fp8" | undefined;
  /** The head has weights of its own. */
  readonly ownHead: boolean;
  /** The table of embeddings is plain, and what the quantised head was made of. */
  readonly headWasTable: boolean;
  /** The table of embeddings is quantised. */
  readonly embedding: boolean;
}

const key = "quantization_config";
const producer = { name: "weft" };

/** @param source config.json of the checkpoint that was quantised; what else it says stays */
export function configJson(source: JsonObject, written: WrittenConfig): JsonObject {
  const { [key]: _, [plainHeadKey]: __, ...rest } = source;
  const config = {
    ...rest,
    ...(written.ownHead ? { tie_word_embeddings: false } : {}),
    ...(written.headWasTable ? { [plainHeadKey]: embeddingTable } : {}),
  };
  switch (written.format) {
    case "dat":
      return config;
    case "compressed-tensors":
      return { ...config, [key]: compressedTensors(written) };
    case "modelopt":
      return { ...config, [key]: modelOpt(written) };
    default:
      return written.format satisfies never;
  }
}

function compressedTensors({ activations, plain, kvCache, embedding }: WrittenConfig): JsonObject {
  const numbers = {
    num_bits: 4,
    type: "float",
    strategy: "tensor_group",
    group_size: 16,
    symmetric: true,
    scale_dtype: "torch.float8_e4m3fn",
  };
  return {
    config_groups: {
      group_0: {
        format: packedFormat,
        targets: embedding ? ["Linear", "Embedding"] : ["Linear"],
        weights: { ...numbers, dynamic: false },
        input_activations: activations ? { ...numbers, dynamic: "local" } : null,
        output_activations: null,
      },
    },
    format: packedFormat,
    ignore: plain,
    kv_cache_scheme:
      kvCache === undefined
        ? null
        : { num_bits: 8, type: "float", strategy: "tensor", dynamic: false, symmetric: true },
    quant_method: "compressed-tensors",
    quantization_status: "compressed",
  };
}

const algorithmOf = ({ activations }: WrittenConfig) => (activations ? "NVFP4" : "W4A16_NVFP4");

function modelOpt(written: WrittenConfig): JsonObject {
  const numbers = { num_bits: 4, type: "float", group_size: 16, dynamic: false };
  return {
    config_groups: {
      group_0: {
        ...(written.activations ? { input_activations: numbers } : {}),
        weights: numbers,
        targets: ["Linear"],
      },
    },
    ignore: written.plain,
    quant_algo: algorithmOf(written),
    ...(written.kvCache === undefined
      ? {}
      : { kv_cache_scheme: { num_bits: 8, type: "float", dynamic: false } }),
    producer,
    quant_method: "modelopt",
  };
}

/** hf_quant_config.json, which ModelOpt's readers look at first. */
export const hfQuantConfigJson = (written: WrittenConfig): JsonObject => ({
  producer,
  quantization: {
    quant_algo: algorithmOf(written),
    kv_cache_quant_algo: written.kvCache === undefined ? null : "FP8",
    group_size: 16,
    exclude_modules: written.plain,
  },
});
