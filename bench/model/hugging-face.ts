/** A random model as a Hugging Face directory. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { elementsOf, type ModelShape, type ModelTensor, tensorsOf } from "./shapes.ts";
import { tokenizerJson, type Vocabulary, vocabularyOf } from "./vocabulary.ts";
import { bytesOf, type StoredType, stores, writeWhole } from "./write-file.ts";

export function writeHuggingFace(directory: string, shape: ModelShape, seed: string, type: StoredType): void {
  mkdirSync(directory, { recursive: true });
  const vocabulary = vocabularyOf(shape.vocab);
  const json = (name: string, content: object, indent?: number) =>
    writeFileSync(join(directory, name), `${JSON.stringify(content, null, indent)}\n`);
  json("config.json", configJson(shape, vocabulary, type), 2);
  json("tokenizer.json", tokenizerJson(vocabulary));
  json("tokenizer_config.json", {
    tokenizer_class: "Qwen2Tokenizer",
    model_max_length: shape.maxPositions,
    eos_token: "<|im_end|>",
    pad_token: "<|endoftext|>",
    add_bos_token: false,
    clean_up_tokenization_spaces: false,
  });
  const tensors = tensorsOf(shape);
  // The weights come last: a directory that has them is complete.
  writeWhole(join(directory, "model.safetensors"), (to) => {
    to.bytes(safetensorsHeader(tensors, type));
    for (const tensor of tensors) to.tensor(tensor, shape, seed, stores[type]);
  });
}

/** As `headerOf`, of tensors that are all stored alike. */
export const safetensorsHeader = (tensors: readonly ModelTensor[], type: StoredType): Uint8Array =>
  headerOf(
    tensors.map((tensor) => {
      const bytes = elementsOf(tensor) * bytesOf[type];
      return { name: tensor.name, dtype: type.toUpperCase(), shape: tensor.shape, bytes };
    }),
  );

interface HeaderEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
}

/** The length in eight bytes, then JSON, padded with spaces so that the data starts on eight bytes. */
export function headerOf(tensors: readonly HeaderEntry[]): Uint8Array {
  const header: Record<string, object> = { __metadata__: { format: "pt" } };
  let offset = 0;
  for (const { name, dtype, shape, bytes } of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes] };
    offset += bytes;
  }
  const text = JSON.stringify(header);
  const padded = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded]);
}

export function configJson(
  shape: ModelShape,
  vocabulary: Pick<Vocabulary, "endOfText" | "endOfTurn">,
  type: StoredType,
): object {
  return {
    architectures: ["Qwen3ForCausalLM"],
    model_type: "qwen3",
    attention_bias: false,
    attention_dropout: 0,
    hidden_act: "silu",
    bos_token_id: vocabulary.endOfText,
    eos_token_id: vocabulary.endOfTurn,
    hidden_size: shape.hidden,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    head_dim: shape.headDim,
    intermediate_size: shape.intermediate,
    vocab_size: shape.vocab,
    max_position_embeddings: shape.maxPositions,
    rms_norm_eps: shape.rmsNormEps,
    rope_theta: shape.ropeTheta,
    rope_scaling: null,
    sliding_window: null,
    use_sliding_window: false,
    max_window_layers: shape.layers,
    tie_word_embeddings: shape.tied,
    torch_dtype: type === "f32" ? "float32" : "bfloat16",
    use_cache: true,
    initializer_range: shape.scale,
  };
}
