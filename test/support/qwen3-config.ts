/** Configurations of known shapes for tests that compile but do not run. */
import { orThrow } from "@weft/dsl";
import { parseQwen3Config, type Qwen3Config } from "@weft/qwen3";

export interface Shape {
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly intermediate: number;
  readonly vocab: number;
  readonly tied?: boolean;
}

export function configOf(shape: Shape): Qwen3Config {
  return orThrow(
    parseQwen3Config(
      {
        model_type: "qwen3",
        hidden_act: "silu",
        hidden_size: shape.hidden,
        num_hidden_layers: shape.layers,
        num_attention_heads: shape.heads,
        num_key_value_heads: shape.kvHeads,
        head_dim: shape.headDim,
        intermediate_size: shape.intermediate,
        vocab_size: shape.vocab,
        rms_norm_eps: 1e-6,
        rope_theta: 1e6,
        max_position_embeddings: 40960,
        tie_word_embeddings: shape.tied ?? true,
      },
      "config.json",
    ),
  );
}

/** Qwen3-4B as released. */
export const qwen3Of4B = configOf({
  hidden: 2560,
  layers: 36,
  heads: 32,
  kvHeads: 8,
  headDim: 128,
  intermediate: 9728,
  vocab: 151936,
});

export const threeLayers = configOf({
  hidden: 64,
  layers: 3,
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  intermediate: 128,
  vocab: 320,
});
