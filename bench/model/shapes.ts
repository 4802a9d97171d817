/** The shapes that random checkpoints are made in. */

export interface ModelShape {
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly intermediate: number;
  readonly vocab: number;
  readonly tied: boolean;
  readonly ropeTheta: number;
  readonly rmsNormEps: number;
  readonly maxPositions: number;
  /** Standard deviation of the matrices. */
  readonly scale: number;
}

const tiny: ModelShape = {
  hidden: 64,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  intermediate: 128,
  vocab: 320,
  tied: false,
  ropeTheta: 1e6,
  rmsNormEps: 1e-6,
  maxPositions: 512,
  scale: 0.15,
};

const released = {
  headDim: 128,
  kvHeads: 8,
  vocab: 151936,
  ropeTheta: 1e6,
  rmsNormEps: 1e-6,
  maxPositions: 40960,
  scale: 0.02,
};

/** `qwen3-...`: as released. */
export const shapes = {
  "qwen3-0.6b": { ...released, hidden: 1024, layers: 28, heads: 16, intermediate: 3072, tied: true },
  "qwen3-1.7b": { ...released, hidden: 2048, layers: 28, heads: 16, intermediate: 6144, tied: true },
  "qwen3-4b": { ...released, hidden: 2560, layers: 36, heads: 32, intermediate: 9728, tied: true },
  "qwen3-8b": { ...released, hidden: 4096, layers: 36, heads: 32, intermediate: 12288, tied: false },
  tiny,
  "tiny-tied": { ...tiny, tied: true },
} as const satisfies Record<string, ModelShape>;

export type ShapeName = keyof typeof shapes;

export interface ModelTensor {
  /** Name in a Hugging Face checkpoint; also the key of its random numbers. */
  readonly name: string;
  readonly ggufName: string;
  /** Rows first. */
  readonly shape: readonly number[];
  readonly kind: "norm" | "matrix";
}

export const elementsOf = (tensor: ModelTensor): number =>
  tensor.shape.reduce((product, size) => product * size, 1);

/** All tensors of a model, in the order in which the files hold them. */
export function tensorsOf(shape: ModelShape): ModelTensor[] {
  const { hidden, intermediate, vocab, headDim } = shape;
  const query = shape.heads * headDim;
  const keyValue = shape.kvHeads * headDim;
  const norm = (name: string, ggufName: string, size: number): ModelTensor => {
    return { name: `${name}.weight`, ggufName: `${ggufName}.weight`, shape: [size], kind: "norm" };
  };
  const matrix = (name: string, ggufName: string, rows: number, columns: number): ModelTensor => {
    return { name: `${name}.weight`, ggufName: `${ggufName}.weight`, shape: [rows, columns], kind: "matrix" };
  };
  const layer = (index: number): ModelTensor[] => {
    const from = `model.layers.${index}`;
    const to = `blk.${index}`;
    return [
      norm(`${from}.input_layernorm`, `${to}.attn_norm`, hidden),
      matrix(`${from}.self_attn.q_proj`, `${to}.attn_q`, query, hidden),
      matrix(`${from}.self_attn.k_proj`, `${to}.attn_k`, keyValue, hidden),
      matrix(`${from}.self_attn.v_proj`, `${to}.attn_v`, keyValue, hidden),
      norm(`${from}.self_attn.q_norm`, `${to}.attn_q_norm`, headDim),
      norm(`${from}.self_attn.k_norm`, `${to}.attn_k_norm`, headDim),
      matrix(`${from}.self_attn.o_proj`, `${to}.attn_output`, hidden, query),
      norm(`${from}.post_attention_layernorm`, `${to}.ffn_norm`, hidden),
      matrix(`${from}.mlp.gate_proj`, `${to}.ffn_gate`, intermediate, hidden),
      matrix(`${from}.mlp.up_proj`, `${to}.ffn_up`, intermediate, hidden),
      matrix(`${from}.mlp.down_proj`, `${to}.ffn_down`, hidden, intermediate),
    ];
  };
  return [
    matrix("model.embed_tokens", "token_embd", vocab, hidden),
    ...Array.from({ length: shape.layers }, (_, index) => layer(index)).flat(),
    norm("model.norm", "output_norm", hidden),
    ...(shape.tied ? [] : [matrix("lm_head", "output", vocab, hidden)]),
  ];
}
