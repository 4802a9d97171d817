/** The models that are trained: Qwen3 of about 10 and 100 million parameters, tied embeddings, random weights. */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { orThrow } from "@weft/dsl";
import { initialWeights, readQwen3Config, requiredTensors, writeSafetensors } from "@weft/qwen3";
import type { Shape } from "../../test/support/qwen3-config.ts";

export interface TrainShape {
  readonly name: string;
  readonly shape: Shape;
}

export const trainShapes: readonly TrainShape[] = [
  {
    name: "10M",
    shape: { hidden: 256, layers: 10, heads: 4, kvHeads: 2, headDim: 64, intermediate: 768, vocab: 8192 },
  },
  {
    name: "100M",
    shape: { hidden: 768, layers: 11, heads: 12, kvHeads: 4, headDim: 64, intermediate: 2304, vocab: 32000 },
  },
];

/** Documents of one pass, and tokens of each. */
export const batch = { documents: 4, length: 256 } as const;
export const positions = batch.documents * batch.length;

export interface TrainCheckpoint {
  readonly directory: string;
  readonly parameters: number;
}

/** A Hugging Face directory under .cache/bench with f32 weights, made once. */
export function makeCheckpoint({ name, shape }: TrainShape): TrainCheckpoint {
  const directory = fileURLToPath(new URL(`../../.cache/bench/train-${name}`, import.meta.url));
  if (!existsSync(directory)) writeCheckpoint(directory, shape);
  const tensors = requiredTensors(orThrow(readQwen3Config(directory)));
  const elements = tensors.map((one) => one.shape.reduce((product, size) => product * size, 1));
  return { directory, parameters: elements.reduce((sum, one) => sum + one, 0) };
}

function writeCheckpoint(directory: string, shape: Shape): void {
  const part = `${directory}.part`;
  rmSync(part, { recursive: true, force: true });
  mkdirSync(part, { recursive: true });
  writeFileSync(join(part, "config.json"), `${JSON.stringify(huggingFace(shape), undefined, 2)}\n`);
  const config = orThrow(readQwen3Config(part));
  const weights = initialWeights(config, { seed: 1 });
  const tensors = requiredTensors(config).map(({ name, shape: sizes }) => {
    const weight = weights(name);
    if (weight?.kind !== "data") throw new Error(`[bench] ${name} must have initial values`);
    return { name, dtype: "F32", shape: sizes, data: weight.data } as const;
  });
  orThrow(writeSafetensors(join(part, "model.safetensors"), tensors));
  renameSync(part, directory);
}

function huggingFace(shape: Shape): object {
  return {
    architectures: ["Qwen3ForCausalLM"],
    model_type: "qwen3",
    hidden_act: "silu",
    attention_bias: false,
    attention_dropout: 0,
    hidden_size: shape.hidden,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    head_dim: shape.headDim,
    intermediate_size: shape.intermediate,
    vocab_size: shape.vocab,
    tie_word_embeddings: true,
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    max_position_embeddings: 1024,
    initializer_range: 0.02,
    use_sliding_window: false,
    torch_dtype: "float32",
  };
}
