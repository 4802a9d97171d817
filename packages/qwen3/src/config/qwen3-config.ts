/**
 * config.json of a dense Qwen3 checkpoint. Every architectural value comes from the file; where the file leaves a
 * key out, only those have a fallback for which the model's code defines one that is no number of its own.
 */
import { join } from "node:path";
import { editDistance } from "@weft/dsl";
import { sequenceS } from "fp-ts/lib/Apply.js";
import * as Either from "fp-ts/lib/Either.js";
import { type Fields, fieldsOf, type IntegerRange, tokenIds } from "./fields.ts";
import { asJsonObject, readJsonObject } from "./json-file.ts";
import {
  type Checked,
  collecting,
  type Problem,
  type Problems,
  refuse,
  showGiven,
  unlessProblems,
  unsupportedProblem,
  userProblem,
} from "./problems.ts";
import { parseQuantizationConfig } from "./quantization/index.ts";
import { ropeThetaOf } from "./rope.ts";

/** How the checkpoint says its floating point tensors are stored; a hint, each tensor carries its own type. */
export type StoredDtype = "f32" | "f16" | "bf16";

/** The architecture of a dense Qwen3 model. Sizes are element counts. */
export interface Qwen3Config {
  /** Where the values came from, for messages. */
  readonly file: string;
  readonly hiddenSize: number;
  readonly layers: number;
  /** Query heads; a multiple of `kvHeads`. */
  readonly heads: number;
  /** Key and value heads. */
  readonly kvHeads: number;
  /** Width of one head, even; `heads * headDim` need not equal `hiddenSize`. */
  readonly headDim: number;
  readonly intermediateSize: number;
  readonly vocabSize: number;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  /** Longest context that the model was trained for, in tokens. */
  readonly maxPositions: number;
  /** The output head is the embedding table. */
  readonly tiedEmbeddings: boolean;
  /**
   * The tensor with the plain rows of a quantised head that was this tensor when the checkpoint was quantised:
   * `model.embed_tokens.weight` or nothing. `weft quantize` writes it as `weft_plain_head`.
   */
  readonly plainHead?: string;
  /** The q, k, v and o projections have a bias. */
  readonly attentionBias: boolean;
  readonly dtype: StoredDtype | undefined;
  /** End-of-sequence ids that config.json itself names; see `stopTokenIds` for the complete set. */
  readonly eosTokenIds: readonly number[];
}

export type ConfigError = Problems;

const refetch = "give a directory with a Qwen3 checkpoint as Hugging Face writes it";

/** Sizes beyond these are a corrupt file, not a model: each is far above anything that exists. */
const size: IntegerRange = { least: 1, most: 2 ** 31 - 1 };
const layerCount: IntegerRange = { least: 1, most: 10_000 };
const headCount: IntegerRange = { least: 1, most: 65_536 };
const headWidth: IntegerRange = { least: 2, most: 65_536 };

/** Names the tensor with the plain rows of a quantised head. */
export const plainHeadKey = "weft_plain_head";
/** The only one that it may name. */
export const embeddingTable = "model.embed_tokens.weight";

const requiredKeys = [
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
];
const optionalKeys = [
  "head_dim",
  "tie_word_embeddings",
  "attention_bias",
  "hidden_act",
  "torch_dtype",
  "dtype",
  "rope_scaling",
  "rope_parameters",
  "partial_rotary_factor",
  "use_sliding_window",
  "layer_types",
  "eos_token_id",
  "quantization_config",
  plainHeadKey,
];
const foreignKeys = [
  "architectures",
  "attention_dropout",
  "bos_token_id",
  "pad_token_id",
  "initializer_range",
  "sliding_window",
  "max_window_layers",
  "use_cache",
  "transformers_version",
  "_name_or_path",
];
const knownKeys = new Set([...requiredKeys, ...optionalKeys, ...foreignKeys]);

/**
 * Reads `config.json` of a checkpoint directory.
 *
 * Left: the file is absent, unreadable, not JSON, or any of its values is missing, wrong, contradictory or
 * unsupported; all of these together.
 *
 * @example
 * const config = readQwen3Config("models/Qwen3-0.6B");
 * if (Either.isLeft(config)) console.error(formatProblems(config.left));
 */
export function readQwen3Config(directory: string): Either.Either<ConfigError, Qwen3Config> {
  const file = join(directory, "config.json");
  return Either.chain((json: unknown) => parseQwen3Config(json, file))(readJsonObject(file, refetch));
}

/** Checks a parsed config.json. `file` names the source in messages. */
export function parseQwen3Config(json: unknown, file: string): Either.Either<ConfigError, Qwen3Config> {
  const object = asJsonObject(json, file, refetch);
  if (Either.isLeft(object)) return object;
  const fields = fieldsOf(object.right, file, knownKeys);
  const kind = modelType(fields);
  // Of another kind of model every further complaint would only distract.
  if (Either.isLeft(kind)) return kind;
  const vocabulary = fields.integer("vocab_size", size);
  const parts = sequenceS(collecting)({
    hiddenSize: fields.integer("hidden_size", size),
    layers: fields.integer("num_hidden_layers", layerCount),
    heads: fields.integer("num_attention_heads", headCount),
    kvHeads: fields.integer("num_key_value_heads", headCount),
    headDim: headDim(fields),
    intermediateSize: fields.integer("intermediate_size", size),
    vocabSize: vocabulary,
    rmsNormEps: fields.positive("rms_norm_eps", 1),
    ropeTheta: ropeThetaOf(fields),
    maxPositions: fields.integer("max_position_embeddings", size),
    tiedEmbeddings: fields.boolean("tie_word_embeddings", false),
    attentionBias: fields.boolean("attention_bias", false),
    dtype: storedDtype(fields),
    eosTokenIds: tokenIds(fields, "eos_token_id", Either.isRight(vocabulary) ? vocabulary.right : size.most),
    plainHead: plainHead(fields),
    rest: unlessProblems(refusals(fields), () => undefined),
  });
  type Read = Omit<Qwen3Config, "file" | "plainHead"> & { rest: undefined; plainHead: string | undefined };
  return Either.map(({ rest: _, plainHead, ...config }: Read) => ({
    file,
    ...config,
    ...(plainHead === undefined ? {} : { plainHead }),
  }))(Either.mapLeft(inOrder)(parts));
}

/** The applicative runs over the fields in its own order; messages follow the order in which the keys are documented. */
function inOrder(problems: Problems): Problems {
  const rank = (problem: Problem) => {
    const at = [...requiredKeys, ...optionalKeys].findIndex((key) => problem.requirement.startsWith(key));
    return at < 0 ? Number.MAX_SAFE_INTEGER : at;
  };
  const [first, ...rest] = [...problems].sort((a, b) => rank(a) - rank(b));
  return [first!, ...rest];
}

function modelType(fields: Fields): Checked<"qwen3"> {
  const type = fields.text("model_type");
  if (Either.isLeft(type)) return type;
  if (type.right === "qwen3") return Either.right("qwen3");
  return Either.left([
    unsupportedProblem(
      fields.file,
      type.right === "qwen3_moe"
        ? 'model_type must be "qwen3" (dense): mixture of experts is not built yet'
        : 'model_type must be "qwen3"',
      { given: showGiven(type.right), remedy: "use a dense Qwen3 checkpoint" },
    ),
  ]);
}

/** Absent or null means hidden_size / num_attention_heads, as the attention layer of transformers has it. */
function headDim(fields: Fields): Checked<number> {
  const requirement = "head_dim must be even, because rotary embeddings turn pairs of components";
  const [hidden, heads] = [fields.get("hidden_size"), fields.get("num_attention_heads")];
  if (!fields.has("head_dim") && Number.isInteger(hidden) && Number.isInteger(heads)) {
    const derived = (hidden as number) / (heads as number);
    if (Number.isInteger(derived) && derived >= 2 && derived % 2 === 0) return Either.right(derived);
    if (derived > 0) {
      return refuse(fields.file, requirement, {
        given: `no such key, and hidden_size / num_attention_heads is ${derived}`,
        remedy: 'add "head_dim" to the file',
      });
    }
  }
  const given = fields.integer("head_dim", headWidth);
  if (Either.isLeft(given) || given.right % 2 === 0) return given;
  return refuse(fields.file, requirement, {
    given: String(given.right),
    remedy: 'correct "head_dim" in the file',
  });
}

function plainHead(fields: Fields): Checked<string | undefined> {
  if (!fields.has(plainHeadKey)) return Either.right(undefined);
  const text = fields.text(plainHeadKey);
  if (Either.isLeft(text) || text.right === embeddingTable) return text;
  return refuse(fields.file, `${plainHeadKey} must be "${embeddingTable}"`, {
    given: showGiven(text.right),
    remedy: `leave it out, or quantise the model again`,
  });
}

function storedDtype(fields: Fields): Checked<StoredDtype | undefined> {
  const key = fields.has("dtype") ? "dtype" : "torch_dtype";
  if (!fields.has(key)) return Either.right(undefined);
  const names: Readonly<Record<string, StoredDtype>> = { float32: "f32", float16: "f16", bfloat16: "bf16" };
  const text = fields.text(key);
  if (Either.isLeft(text)) return text;
  const name = text.right.replace(/^torch\./, "");
  if (Object.hasOwn(names, name)) return Either.right(names[name]);
  return Either.left([
    unsupportedProblem(fields.file, `${key} must be float32, float16 or bfloat16`, {
      given: showGiven(text.right),
      remedy: "convert the checkpoint to one of these",
    }),
  ]);
}

/** What is contradictory, and what other variants of the architecture ask for. */
function refusals(fields: Fields): Problem[] {
  const { file } = fields;
  const problems: Problem[] = [];
  const number = (key: string) => {
    const value = fields.get(key);
    return typeof value === "number" && Number.isInteger(value) && value > 0 ? value : undefined;
  };
  const [heads, kvHeads, layers] = [
    number("num_attention_heads"),
    number("num_key_value_heads"),
    number("num_hidden_layers"),
  ];
  if (heads !== undefined && kvHeads !== undefined && heads % kvHeads !== 0) {
    problems.push(
      userProblem(file, "num_attention_heads must be a multiple of num_key_value_heads", {
        given: `${heads} and ${kvHeads}`,
        remedy: "correct the one that does not fit the checkpoint's weights",
      }),
    );
  }
  const activation = fields.get("hidden_act");
  if (fields.has("hidden_act") && activation !== "silu") {
    problems.push(
      unsupportedProblem(file, 'hidden_act must be "silu"', {
        given: showGiven(activation),
        remedy: "use a dense Qwen3 checkpoint",
      }),
    );
  }
  const sliding = fields.boolean("use_sliding_window", false);
  if (Either.isLeft(sliding)) problems.push(...sliding.left);
  else if (sliding.right) {
    problems.push(
      unsupportedProblem(
        file,
        "use_sliding_window must be false: sliding window attention is not built yet",
        {
          given: "true",
          remedy: "use a checkpoint with full attention",
        },
      ),
    );
  }
  if (fields.has("layer_types")) problems.push(...layerTypeProblems(fields, layers));
  if (fields.has("quantization_config")) {
    const quantization = parseQuantizationConfig(fields.get("quantization_config"), file);
    if (Either.isLeft(quantization)) problems.push(...quantization.left);
  }
  // A misspelt optional key would silently leave its fallback in force, and the model would compute something else.
  const given = Object.keys(fields.object).filter((key) => !knownKeys.has(key));
  for (const key of optionalKeys) {
    const misspelt = fields.has(key) ? undefined : given.find((name) => editDistance(key, name, 2) <= 2);
    if (misspelt === undefined) continue;
    problems.push(
      userProblem(file, `${key} must be spelt so, or left out`, {
        given: showGiven(misspelt),
        remedy: `did you mean "${key}"? Rename the key "${misspelt}", or remove it`,
      }),
    );
  }
  return problems;
}

function layerTypeProblems({ file, get }: Fields, layers: number | undefined): Problem[] {
  const types = get("layer_types");
  if (!Array.isArray(types)) {
    return [
      userProblem(file, "layer_types must be a list of strings", {
        given: showGiven(types),
        remedy: 'correct "layer_types" in the file, or remove it',
      }),
    ];
  }
  const problems: Problem[] = [];
  const other = types.findIndex((type) => type !== "full_attention");
  if (other >= 0) {
    problems.push(
      unsupportedProblem(file, `layer_types[${other}] must be "full_attention"`, {
        given: showGiven(types[other]),
        remedy: "use a checkpoint with full attention in every layer",
      }),
    );
  }
  if (layers !== undefined && types.length !== layers) {
    problems.push(
      userProblem(file, "layer_types must have one entry for each of num_hidden_layers", {
        given: `${types.length} entries for ${layers} layers`,
        remedy: "correct the one that does not fit the checkpoint's weights",
      }),
    );
  }
  return problems;
}
