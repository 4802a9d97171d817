/**
 * Models trained from nothing, with tokenizers of their own, and exported; and what we make of the export, for
 * transformers to be held against. As a process: export.ts FOLDER writes a directory for each, with expected.json in it.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  batchOf,
  type ChatMessage,
  chatTemplateOf,
  exportHuggingFace,
  filesBeside,
  generate,
  initialWeights,
  logitsOf,
  logitsOpenOptions,
  openQwen3,
  openTokenizer,
  openTrainingModel,
  readQwen3Config,
  TrainableModel,
  trainTokenizer,
} from "@weft/qwen3";
import { cpuDevice } from "@weft/runtime-cpu";
import * as Either from "fp-ts/lib/Either.js";

export const exportNames = ["tied-f32", "untied-bf16"] as const;
export type ExportName = (typeof exportNames)[number];

/** Files of an export that do not depend on how a machine adds up: all but the weights. */
export const textFiles = ["config.json", "tokenizer.json", "tokenizer_config.json"] as const;

export const texts = [
  "The cat sat on the mat.",
  "It's 42, isn't it?  Two  spaces,\ttabs\n\nand lines \n",
  "señor Müller, naïve façade, 北京, 🙂, e\u0301",
  "<|im_start|>user\nhello<|im_end|>\n<think>\n\n</think>",
  "",
  " ",
];

export const chats: readonly (readonly ChatMessage[])[] = [
  [{ role: "user", content: "What is 2 plus 3?" }],
  [
    { role: "system", content: "You answer in one word." },
    { role: "user", content: "Where is the cat?" },
    { role: "assistant", content: "Mat." },
    { role: "user", content: "  And now?\n" },
  ],
];

export interface Expected {
  readonly texts: readonly { readonly text: string; readonly ids: readonly number[] }[];
  readonly chats: readonly { readonly messages: readonly ChatMessage[]; readonly rendering: string }[];
  readonly tokens: readonly number[];
  /** At each position. */
  readonly logits: readonly (readonly number[])[];
  readonly greedy: readonly number[];
}

function right<A>(result: Either.Either<unknown, A>): A {
  if (Either.isLeft(result)) throw new Error(JSON.stringify(result.left));
  return result.right;
}

const sentences = [
  "The cat sat on the mat, and the dog sat on the cat.",
  "What is two plus three? It is five, isn't it?",
  "The señor answers in one word: mat.",
];

/** Trains a few steps and exports. @returns the directory */
export async function makeExport(name: ExportName, folder: string): Promise<string> {
  const base = join(folder, "base");
  mkdirSync(base, { recursive: true });
  const { vocabSize } = right(await trainTokenizer({ texts: sentences, vocabSize: 330, directory: base }));
  const tokenizer = right(openTokenizer(base));
  const json = {
    architectures: ["Qwen3ForCausalLM"],
    model_type: "qwen3",
    hidden_act: "silu",
    attention_bias: false,
    hidden_size: 48,
    intermediate_size: 96,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 16,
    vocab_size: vocabSize,
    tie_word_embeddings: name === "tied-f32",
    rms_norm_eps: 1e-6,
    rope_theta: 10_000,
    max_position_embeddings: 128,
    eos_token_id: tokenizer.eosTokenId,
    dtype: "float32",
  };
  writeFileSync(join(base, "config.json"), JSON.stringify(json, undefined, 2));
  const config = right(readQwen3Config(base));
  const weights = initialWeights(config, { seed: 3, initializerRange: 0.1 });
  using device = cpuDevice({ threads: 2 });
  using model = await openTrainingModel(config, weights, device, { sequence: 128, programs: ["train"] });
  const batch = batchOf(
    await Promise.all(sentences.map(async (one) => ({ tokens: await tokenizer.encode(one) }))),
  );
  for (let step = 0; step < 20; step++) await model.step(batch, { learningRate: 0.005, maxNorm: 1 });
  return right(
    await exportHuggingFace({
      directory: join(folder, "model"),
      model: new TrainableModel(model, weights),
      dtype: name === "tied-f32" ? "f32" : "bf16",
      copy: filesBeside(base),
    }),
  );
}

/** What our own loader, tokenizer and template make of an export. */
export async function expectedOf(directory: string): Promise<Expected> {
  const tokenizer = right(openTokenizer(directory));
  const template = right(chatTemplateOf(tokenizer.config));
  const tokens = await tokenizer.encode(sentences[0]!);
  const options = { dtype: "f32", planCache: false, ...logitsOpenOptions(tokens.length) } as const;
  using whole = await openQwen3(directory, options);
  const { logits } = await logitsOf(whole, tokens);
  using model = await openQwen3(directory, { dtype: "f32", planCache: false, capacity: 64, chunk: 32 });
  const greedy: number[] = [];
  const generation = generate(model, tokens.slice(0, 4), { temperature: 0, maxTokens: 12, ignoreEos: true });
  for await (const { token } of generation) greedy.push(token);
  return {
    texts: await Promise.all(texts.map(async (text) => ({ text, ids: [...(await tokenizer.encode(text))] }))),
    chats: chats.map((messages) => ({
      messages,
      rendering: right(template.render(messages, { addGenerationPrompt: true })),
    })),
    tokens,
    logits: logits.map((row) => [...row]),
    greedy,
  };
}

if (process.argv[1] === import.meta.filename) {
  for (const name of exportNames) {
    const directory = await makeExport(name, join(process.argv[2]!, name));
    writeFileSync(join(directory, "expected.json"), JSON.stringify(await expectedOf(directory)));
    console.log(directory);
  }
}
