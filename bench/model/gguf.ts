/**
 * A random model as GGUF version 3, the file format of llama.cpp
 * (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): header, metadata, table of tensors, aligned data.
 */
import { blockBytes, blockElements, encoders, type FourBitType } from "./four-bit.ts";
import { elementsOf, type ModelShape, type ModelTensor, tensorsOf } from "./shapes.ts";
import { type TokenKind, vocabularyOf } from "./vocabulary.ts";
import { bytesOf, type Store, type StoredType, stores, writeWhole } from "./write-file.ts";

/** How the matrices of a file are stored: the embedding too, and the head, which may be the same. */
export type GgufType = StoredType | FourBitType;

/** The format's numbers for the types of metadata values. */
const valueTypes = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 } as const;
/** The format's numbers for tensor types, and for what the whole file is made of. */
const tensorTypes: Readonly<Record<GgufType, number>> = { f32: 0, q4_0: 2, bf16: 30, mxfp4: 39 };
const fileTypes: Readonly<Record<GgufType, number>> = { f32: 0, q4_0: 2, bf16: 32, mxfp4: 38 };
const tokenTypes: Readonly<Record<TokenKind, number>> = { normal: 1, special: 3, unused: 5 };
const alignment = 32;

const aligned = (position: number) => Math.ceil(position / alignment) * alignment;

const storesOf: Readonly<Record<GgufType, Store>> = { ...stores, ...encoders };

/** llama.cpp keeps vectors in F32 whatever the matrices are. */
const typeOf = (tensor: ModelTensor, type: GgufType): GgufType => (tensor.kind === "norm" ? "f32" : type);

/** Bytes of a tensor in a file of such a type. */
export function ggufBytes(tensor: ModelTensor, type: GgufType): number {
  const own = typeOf(tensor, type);
  const elements = elementsOf(tensor);
  return own === "q4_0" || own === "mxfp4"
    ? (elements / blockElements) * blockBytes[own]
    : elements * bytesOf[own];
}

export function writeGguf(file: string, shape: ModelShape, seed: string, type: GgufType): void {
  const tensors = tensorsOf(shape);
  const head = headOf(shape, seed, type, tensors);
  writeWhole(file, (to) => {
    to.bytes(head);
    for (const tensor of tensors) {
      to.padTo(aligned(to.position));
      to.tensor(tensor, shape, seed, storesOf[typeOf(tensor, type)]);
    }
  });
}

function headOf(
  shape: ModelShape,
  seed: string,
  type: GgufType,
  tensors: readonly ModelTensor[],
): Uint8Array {
  const metadata = new Metadata();
  writeMetadata(metadata, shape, seed, type);
  const table = new Bytes();
  let offset = 0;
  for (const tensor of tensors) {
    table.string(tensor.ggufName);
    table.u32(tensor.shape.length);
    // The fastest dimension comes first.
    for (const size of tensor.shape.toReversed()) table.u64(size);
    table.u32(tensorTypes[typeOf(tensor, type)]);
    table.u64(offset);
    offset = aligned(offset + ggufBytes(tensor, type));
  }
  const start = new Bytes();
  start.raw(Buffer.from("GGUF"));
  start.u32(3);
  start.u64(tensors.length);
  start.u64(metadata.count);
  return Buffer.concat([start.all(), metadata.bytes.all(), table.all()]);
}

function writeMetadata(to: Metadata, shape: ModelShape, seed: string, type: GgufType): void {
  const vocabulary = vocabularyOf(shape.vocab);
  to.string("general.architecture", "qwen3");
  to.string("general.type", "model");
  to.string("general.name", `random qwen3 ${shape.hidden}x${shape.layers} seed ${seed}`);
  to.u32("general.file_type", fileTypes[type]);
  to.u32("qwen3.block_count", shape.layers);
  to.u32("qwen3.context_length", shape.maxPositions);
  to.u32("qwen3.embedding_length", shape.hidden);
  to.u32("qwen3.feed_forward_length", shape.intermediate);
  to.u32("qwen3.attention.head_count", shape.heads);
  to.u32("qwen3.attention.head_count_kv", shape.kvHeads);
  to.u32("qwen3.attention.key_length", shape.headDim);
  to.u32("qwen3.attention.value_length", shape.headDim);
  to.f32("qwen3.attention.layer_norm_rms_epsilon", shape.rmsNormEps);
  to.f32("qwen3.rope.freq_base", shape.ropeTheta);
  to.string("tokenizer.ggml.model", "gpt2");
  to.string("tokenizer.ggml.pre", "qwen2");
  to.strings("tokenizer.ggml.tokens", vocabulary.tokens);
  to.integers(
    "tokenizer.ggml.token_type",
    vocabulary.kinds.map((kind) => tokenTypes[kind]),
  );
  to.strings("tokenizer.ggml.merges", vocabulary.merges);
  to.u32("tokenizer.ggml.bos_token_id", vocabulary.endOfText);
  to.u32("tokenizer.ggml.eos_token_id", vocabulary.endOfTurn);
  to.u32("tokenizer.ggml.padding_token_id", vocabulary.endOfText);
  to.bool("tokenizer.ggml.add_bos_token", false);
}

/** Little-endian values one after another. */
class Bytes {
  readonly #parts: Buffer[] = [];

  raw(bytes: Buffer): void {
    this.#parts.push(bytes);
  }

  u32(value: number): void {
    this.raw(Buffer.from(Uint32Array.of(value).buffer));
  }

  i32(value: number): void {
    this.raw(Buffer.from(Int32Array.of(value).buffer));
  }

  f32(value: number): void {
    this.raw(Buffer.from(Float32Array.of(value).buffer));
  }

  u64(value: number): void {
    this.raw(Buffer.from(BigUint64Array.of(BigInt(value)).buffer));
  }

  string(value: string): void {
    const bytes = Buffer.from(value);
    this.u64(bytes.length);
    this.raw(bytes);
  }

  all(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

/** Keys with typed values. */
class Metadata {
  readonly bytes = new Bytes();
  count = 0;

  #key(key: string, type: keyof typeof valueTypes): void {
    this.count++;
    this.bytes.string(key);
    this.bytes.u32(valueTypes[type]);
  }

  u32(key: string, value: number): void {
    this.#key(key, "u32");
    this.bytes.u32(value);
  }

  f32(key: string, value: number): void {
    this.#key(key, "f32");
    this.bytes.f32(value);
  }

  bool(key: string, value: boolean): void {
    this.#key(key, "bool");
    this.bytes.raw(Buffer.from([value ? 1 : 0]));
  }

  string(key: string, value: string): void {
    this.#key(key, "string");
    this.bytes.string(value);
  }

  strings(key: string, values: readonly string[]): void {
    this.#key(key, "array");
    this.bytes.u32(valueTypes.string);
    this.bytes.u64(values.length);
    for (const value of values) this.bytes.string(value);
  }

  integers(key: string, values: readonly number[]): void {
    this.#key(key, "array");
    this.bytes.u32(valueTypes.i32);
    this.bytes.u64(values.length);
    for (const value of values) this.bytes.i32(value);
  }
}
