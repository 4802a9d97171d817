/** Small random checkpoints of any shape, written as Hugging Face writes them. */
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { orThrow } from "@weft/dsl";
import {
  parseQwen3Config,
  requiredTensors,
  type TensorDtype,
  type TensorToWrite,
  uniformAt,
  writeSafetensors,
} from "@weft/qwen3";

export interface CheckpointShape {
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly intermediate: number;
  readonly vocab: number;
  readonly tied?: boolean;
  readonly bias?: boolean;
  readonly theta?: number;
  readonly dtype?: "F32" | "BF16" | "F16";
  readonly seed?: number;
  /** More than one: so many files with an index. */
  readonly shards?: number;
  /** Standard deviation of the matrices. */
  readonly scale?: number;
  readonly eos?: readonly number[];
  readonly maxPositions?: number;
}

export const configOf = (shape: CheckpointShape): Record<string, unknown> => ({
  architectures: ["Qwen3ForCausalLM"],
  model_type: "qwen3",
  attention_bias: shape.bias ?? false,
  hidden_act: "silu",
  hidden_size: shape.hidden,
  num_hidden_layers: shape.layers,
  num_attention_heads: shape.heads,
  num_key_value_heads: shape.kvHeads,
  head_dim: shape.headDim,
  intermediate_size: shape.intermediate,
  vocab_size: shape.vocab,
  max_position_embeddings: shape.maxPositions ?? 512,
  rms_norm_eps: 1e-6,
  rope_theta: shape.theta ?? 1e6,
  tie_word_embeddings: shape.tied ?? false,
  ...(shape.eos === undefined ? {} : { eos_token_id: shape.eos }),
});

/** Writes config.json and the weights, and gives the tensors. */
export function writeCheckpoint(directory: string, shape: CheckpointShape): TensorToWrite[] {
  const json = configOf(shape);
  writeFileSync(join(directory, "config.json"), JSON.stringify(json));
  const config = orThrow(parseQwen3Config(json, join(directory, "config.json")));
  const { dtype = "F32", seed = 1, scale = 0.15, shards = 1 } = shape;
  let step = 0;
  const normal = () => {
    const radius = Math.sqrt(-2 * Math.log(1 - uniformAt(seed, step++)));
    return radius * Math.cos(2 * Math.PI * uniformAt(seed, step++));
  };
  const tensors = requiredTensors(config).map(({ name, shape: sizes }): TensorToWrite => {
    const count = sizes.reduce((product, size) => product * size, 1);
    const norm = name.endsWith("norm.weight");
    const data = Float32Array.from({ length: count }, () => (norm ? 1 + 0.1 * normal() : scale * normal()));
    return { name, dtype: dtype as TensorDtype, shape: sizes, data };
  });
  if (shards === 1) orThrow(writeSafetensors(join(directory, "model.safetensors"), tensors));
  else writeShards(directory, tensors, shards);
  return tensors;
}

function writeShards(directory: string, tensors: readonly TensorToWrite[], shards: number): void {
  const map: Record<string, string> = {};
  for (let shard = 0; shard < shards; shard++) {
    const file = `model-0000${shard + 1}-of-0000${shards}.safetensors`;
    const part = tensors.filter((_, index) => index % shards === shard);
    for (const { name } of part) map[name] = file;
    orThrow(writeSafetensors(join(directory, file), part));
  }
  writeFileSync(
    join(directory, "model.safetensors.index.json"),
    JSON.stringify({ metadata: {}, weight_map: map }),
  );
}

/** The byte-level tokenizer of the fixtures, 320 tokens, with the chat template of the project's own. */
export function addTokenizer(directory: string): void {
  const fixtures = join(import.meta.dirname, "../fixtures");
  copyFileSync(join(fixtures, "tiny/tokenizer.json"), join(directory, "tokenizer.json"));
  copyFileSync(join(fixtures, "tiny/tokenizer_config.json"), join(directory, "tokenizer_config.json"));
  copyFileSync(join(fixtures, "chat-template/chat_template.jinja"), join(directory, "chat_template.jinja"));
}
