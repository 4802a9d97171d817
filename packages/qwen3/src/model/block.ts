/** The Qwen3 block and model, written once. Every way to run it is a pass over this. */
import {
  attend,
  axis,
  chain,
  embedding,
  linear,
  merge,
  mul,
  parallel,
  repeat,
  residual,
  rmsNorm,
  rope,
  silu,
} from "@weft/dsl";
import type { Qwen3Config } from "../config/index.ts";

/** The fixed axes of a model, sized by its config.json. */
export function axesOf(config: Qwen3Config) {
  return {
    vocab: axis("vocab", config.vocabSize),
    hidden: axis("hidden", config.hiddenSize),
    heads: axis("heads", config.heads),
    kvHeads: axis("kvHeads", config.kvHeads),
    headDim: axis("headDim", config.headDim),
    intermediate: axis("intermediate", config.intermediateSize),
  };
}

/**
 * One decoder layer: attention and gated MLP, each around a residual.
 * @example
 * console.log(printBlock(qwen3Block(config)));
 */
export function qwen3Block(config: Qwen3Config) {
  const { hidden, heads, kvHeads, headDim, intermediate } = axesOf(config);
  const { rmsNormEps: epsilon, ropeTheta: theta, attentionBias: bias } = config;
  const attention = chain(
    rmsNorm("input_layernorm", hidden, epsilon),
    parallel(
      chain(
        linear("self_attn.q_proj", hidden, [heads, headDim], { bias }),
        rmsNorm("self_attn.q_norm", headDim, epsilon),
        rope(headDim, theta),
      ),
      chain(
        linear("self_attn.k_proj", hidden, [kvHeads, headDim], { bias }),
        rmsNorm("self_attn.k_norm", headDim, epsilon),
        rope(headDim, theta),
      ),
      linear("self_attn.v_proj", hidden, [kvHeads, headDim], { bias }),
    ),
    merge(attend({ heads, kvHeads, headDim, causal: true })),
    linear("self_attn.o_proj", [heads, headDim], hidden, { bias }),
  );
  const mlp = chain(
    rmsNorm("post_attention_layernorm", hidden, epsilon),
    parallel(
      chain(linear("mlp.gate_proj", hidden, intermediate), silu),
      linear("mlp.up_proj", hidden, intermediate),
    ),
    merge(mul),
    linear("mlp.down_proj", intermediate, hidden),
  );
  return chain(residual(attention), residual(mlp));
}

/** The decoder layers' path, as checkpoints name it. */
export const layersPath = "model.layers";

/** Token ids to logits: embedding, the layers, the final norm and the head (the embedding again where it is tied). */
export function qwen3Model(config: Qwen3Config) {
  const { vocab, hidden } = axesOf(config);
  const table = "model.embed_tokens.weight";
  return chain(
    embedding("model.embed_tokens", vocab, hidden),
    repeat(layersPath, config.layers, () => qwen3Block(config)),
    rmsNorm("model.norm", hidden, config.rmsNormEps),
    linear("lm_head", hidden, vocab, config.tiedEmbeddings ? { weight: table } : {}),
  );
}
