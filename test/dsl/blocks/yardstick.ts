/** The Qwen3 block of the design, as the yardstick that tests and type budgets are measured with. */
import {
  type Axis,
  attend,
  chain,
  linear,
  merge,
  mul,
  parallel,
  residual,
  rmsNorm,
  rope,
  silu,
} from "@weft/dsl";

export interface BlockAxes {
  readonly hidden: Axis<"hidden">;
  readonly heads: Axis<"heads">;
  readonly kvHeads: Axis<"kvHeads">;
  readonly headDim: Axis<"headDim">;
  readonly intermediate: Axis<"intermediate">;
}

export const qwen3Block = (axes: BlockAxes, epsilon: number, theta: number) => {
  const { hidden, heads, kvHeads, headDim, intermediate } = axes;
  const attention = chain(
    rmsNorm("input_layernorm", hidden, epsilon),
    parallel(
      chain(
        linear("self_attn.q_proj", hidden, [heads, headDim]),
        rmsNorm("self_attn.q_norm", headDim, epsilon),
        rope(headDim, theta),
      ),
      chain(
        linear("self_attn.k_proj", hidden, [kvHeads, headDim]),
        rmsNorm("self_attn.k_norm", headDim, epsilon),
        rope(headDim, theta),
      ),
      linear("self_attn.v_proj", hidden, [kvHeads, headDim]),
    ),
    merge(attend({ heads, kvHeads, headDim, causal: true })),
    linear("self_attn.o_proj", [heads, headDim], hidden),
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
};
