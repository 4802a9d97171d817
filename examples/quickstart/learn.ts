/** From questions to a checkpoint: a tokenizer of their words, a small Qwen3 with random weights, and a training run. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { orThrow } from "@weft/dsl";
import {
  batchStream,
  chatTemplateOf,
  exportHuggingFace,
  filesBeside,
  initialWeights,
  type LanguageModel,
  openTokenizer,
  openTrainingModel,
  prepareData,
  type Qwen3Config,
  readQwen3Config,
  readTokenizerConfig,
  schedule,
  type TokenizerConfig,
  TrainableModel,
  type TrainingModel,
  type TrainingOptions,
  train,
  trainTokenizer,
} from "@weft/qwen3";
import { cpuDevice } from "@weft/runtime-cpu";
import * as Either from "fp-ts/lib/Either.js";
import { ask, openSession } from "./ask.ts";
import { conversation, type Question } from "./questions.ts";

export interface LearnOptions {
  /** Gets the data, the run and the checkpoint. */
  readonly folder: string;
  readonly questions: readonly Question[];
  readonly steps: number;
  /** Told when everything is compiled and loaded, before the first step. */
  readonly onReady?: (model: TrainingModel) => void;
  readonly onStep?: (step: {
    readonly step: number;
    readonly loss: number | null;
    readonly sample?: string;
  }) => void;
  /** How weights and moments are kept while they are learnt. With `quantize` the checkpoint has its linears in NVFP4. */
  readonly weights?: Pick<TrainingOptions, "quantize" | "trainedDtype" | "moments">;
  /** A question that the model is asked now and then while it learns; `sample` of those steps is its answer. */
  readonly asked?: { readonly question: string; readonly every: number };
}

const conversations = 20_000;
/** Tokens of a step: a dozen conversations stand one behind the other, and none sees another. */
const sequence = 512;
const peakRate = 1.5e-3;

/** @returns a directory as Hugging Face has them: `openQwen3`, `weft chat` and transformers open it. */
export async function learn({
  folder,
  questions,
  steps,
  onReady,
  onStep,
  weights: kept = {},
  asked,
}: LearnOptions): Promise<string> {
  const data = join(folder, "conversations.jsonl");
  const lines = Array.from({ length: conversations }, (_, index) =>
    JSON.stringify({ messages: conversation(questions, 7, index) }),
  );
  writeFileSync(data, `${lines.join("\n")}\n`);
  const config = await makeModel(folder, questions);
  const prepared = orThrow(
    await prepareData({
      files: [data],
      tokenizer: orThrow(openTokenizer(folder)),
      vocabSize: config.vocabSize,
      // Only what the assistant says is learnt, the end of its turn included.
      template: () =>
        Either.chain((one: TokenizerConfig) => chatTemplateOf(one))(readTokenizerConfig(folder)),
      cache: folder,
    }),
  );
  const documents = Uint32Array.from({ length: prepared.tokens.documents }, (_, index) => index);
  const batches = orThrow(batchStream(prepared.tokens, documents, { length: sequence, shuffleSeed: 1 }));

  using device = cpuDevice();
  const weights = initialWeights(config, { seed: 1, initializerRange: 0.06 });
  const generation = { capacity: 128, chunk: 64, logits: "last" } as const;
  using model = await openTrainingModel(config, weights, device, {
    sequence,
    ...kept,
    ...(asked === undefined ? {} : { generation }),
  });
  onReady?.(model);
  const trainable = new TrainableModel(model, weights, { betas: [0.9, 0.95], weightDecay: 0.01, maxNorm: 1 });
  const rates = { shape: "cosine", learningRate: peakRate, steps, warmup: Math.min(50, steps) } as const;
  orThrow(
    await train({
      folder: join(folder, "run"),
      model: trainable,
      data: batches,
      steps,
      learningRate: schedule(rates),
      schedule: rates,
      seed: 1,
      ...(asked === undefined
        ? {}
        : { samples: { every: asked.every, take: () => answerOf(model.generator(folder), asked.question) } }),
      onEvent: (event) => {
        if (event.kind === "step") onStep?.(event.metrics);
      },
    }),
  );
  const copy = filesBeside(folder);
  const exported = kept.quantize === undefined ? trainable : trainable.quantized("compressed-tensors");
  return orThrow(await exportHuggingFace({ directory: join(folder, "model"), model: exported, copy }));
}

/** By the very weights that are being trained, with a cache of its own. */
async function answerOf(model: LanguageModel, question: string): Promise<string> {
  using session = openSession(model);
  return await ask(session, question);
}

/** Writes tokenizer and config.json of a model of half a million parameters. */
async function makeModel(folder: string, questions: readonly Question[]): Promise<Qwen3Config> {
  const texts = questions.flatMap((one) => [one.text, one.answer]);
  const { vocabSize } = orThrow(await trainTokenizer({ texts, vocabSize: 700, directory: folder }));
  const config = {
    architectures: ["Qwen3ForCausalLM"],
    model_type: "qwen3",
    hidden_act: "silu",
    attention_bias: false,
    hidden_size: 128,
    intermediate_size: 384,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 32,
    vocab_size: vocabSize,
    tie_word_embeddings: true,
    rms_norm_eps: 1e-6,
    rope_theta: 10_000,
    max_position_embeddings: sequence,
    dtype: "float32",
  };
  writeFileSync(join(folder, "config.json"), JSON.stringify(config, undefined, 2));
  return orThrow(readQwen3Config(folder));
}
