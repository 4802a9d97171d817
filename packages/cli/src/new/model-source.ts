/** The source of a model as a user would write it: the blocks of Qwen3 with the sizes of one configuration. */
import type { Qwen3Config } from "@weft/qwen3";

export function modelSource(config: Qwen3Config): string {
  const bias = config.attentionBias ? ", { bias: true }" : "";
  const head = config.tiedEmbeddings ? ', { weight: "model.embed_tokens.weight" }' : "";
  return `/**
 * The model, from token ids to logits. It is yours to change: cache, plan and generation follow from this file.
 * Parameters have the names of a checkpoint's tensors: paths of blocks with ".weight" behind them.
 */
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

const vocab = axis("vocab", ${config.vocabSize});
const hidden = axis("hidden", ${config.hiddenSize});
const heads = axis("heads", ${config.heads});
const kvHeads = axis("kvHeads", ${config.kvHeads});
const headDim = axis("headDim", ${config.headDim});
const intermediate = axis("intermediate", ${config.intermediateSize});
const layers = ${config.layers};
const epsilon = ${config.rmsNormEps};
const theta = ${config.ropeTheta};

// input_layernorm ->> (q_proj ->> q_norm ->> rope | k_proj ->> k_norm ->> rope | v_proj) ->> attend ->> o_proj
const attention = chain(
  rmsNorm("input_layernorm", hidden, epsilon),
  parallel(
    chain(
      linear("self_attn.q_proj", hidden, [heads, headDim]${bias}),
      rmsNorm("self_attn.q_norm", headDim, epsilon),
      rope(headDim, theta),
    ),
    chain(
      linear("self_attn.k_proj", hidden, [kvHeads, headDim]${bias}),
      rmsNorm("self_attn.k_norm", headDim, epsilon),
      rope(headDim, theta),
    ),
    linear("self_attn.v_proj", hidden, [kvHeads, headDim]${bias}),
  ),
  merge(attend({ heads, kvHeads, headDim, causal: true })),
  linear("self_attn.o_proj", [heads, headDim], hidden${bias}),
);

// post_attention_layernorm ->> (gate_proj ->> silu | up_proj) ->> mul ->> down_proj
const mlp = chain(
  rmsNorm("post_attention_layernorm", hidden, epsilon),
  parallel(
    chain(linear("mlp.gate_proj", hidden, intermediate), silu),
    linear("mlp.up_proj", hidden, intermediate),
  ),
  merge(mul),
  linear("mlp.down_proj", intermediate, hidden),
);

/** One decoder layer. */
export const layer = chain(residual(attention), residual(mlp));

/** Token ids to logits. */
export default chain(
  embedding("model.embed_tokens", vocab, hidden),
  repeat("model.layers", layers, () => layer),
  rmsNorm("model.norm", hidden, epsilon),
  linear("lm_head", hidden, vocab${head}),
);
`;
}
