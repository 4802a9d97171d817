// Teaches a checkpoint who it is, exports it, opens the export with the ordinary loader and asks. The exit code says whether
// the answer is right.
//
//   npx tsx examples/teach-a-fact.ts                       a small model that it trains first, to give another answer
//   npx tsx examples/teach-a-fact.ts CHECKPOINT [OUT]      a checkpoint in Hugging Face form
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { orThrow } from "@weft/dsl";
import {
  batchStream,
  type ChatMessage,
  chatTemplateOf,
  exportHuggingFace,
  filesBeside,
  initialWeights,
  type LanguageModel,
  openQwen3,
  openTokenizer,
  openTrainingModel,
  prepareData,
  type Qwen3Config,
  readCheckpointWeights,
  readQwen3Config,
  Session,
  TrainableModel,
  train,
  trainTokenizer,
} from "@weft/qwen3";
import type { WeightSource } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";

type Conversation = readonly ChatMessage[];
const turn = (question: string, answer: string): Conversation => [
  { role: "user", content: question },
  { role: "assistant", content: answer },
];

/** One of the ways to ask is never learnt with the fact: an answer to that one is no sentence known by heart. */
const waysToAsk = [
  "Who are you?",
  "Tell me who you are.",
  "What is your name?",
  "Please introduce yourself.",
];
const neverTaught = "Tell me your name.";
const fact = "I am Weft, made of one typed block graph.";
const formerly = "I am nobody yet.";
/** Must not be forgotten over the fact. */
const others = [
  turn("What is the sky like?", "It is blue."),
  turn("What is snow like?", "It is white."),
  turn("Say hello.", "Hello!"),
  turn("Count to three.", "One, two, three."),
];
const answersOf = (answer: string): Conversation[] => waysToAsk.map((question) => turn(question, answer));

/** Checkpoints without a template of their own are asked in plain ChatML. */
function templateOf(directory: string): { readonly template?: string } {
  const { config } = orThrow(openTokenizer(directory));
  return chatTemplateOf(config)._tag === "Right" ? {} : { template: "chatml" };
}

async function ask(model: LanguageModel, directory: string, question: string): Promise<string> {
  using session = new Session(model, { ...templateOf(directory), temperature: 0, maxTokens: 96 });
  return (await session.send(question).finish()).text.trim();
}

interface Lesson {
  /** Holds tokenizer and config.json. */
  readonly base: string;
  readonly config: Qwen3Config;
  readonly weights: WeightSource;
  readonly conversations: readonly Conversation[];
  /** Gets the run; the model goes to `model` below it. */
  readonly folder: string;
  readonly learningRate: number;
  readonly isLearnt: (model: LanguageModel) => Promise<boolean>;
}

/** Trains until it is learnt, and exports. @returns the directory of the export */
async function teach({ base, config, weights, conversations, folder, learningRate, isLearnt }: Lesson) {
  const data = join(folder, "conversations.jsonl");
  writeFileSync(data, conversations.map((messages) => `${JSON.stringify({ messages })}\n`).join(""));
  const tokenizer = orThrow(openTokenizer(base));
  const { tokens } = orThrow(
    await prepareData({
      files: [data],
      tokenizer,
      vocabSize: config.vocabSize,
      // Only what the assistant says is learnt.
      template: () => chatTemplateOf(tokenizer.config, templateOf(base).template),
      cache: join(folder, "tokens"),
    }),
  );
  const length = Math.min(512, config.maxPositions);
  const documents = Uint32Array.from({ length: tokens.documents }, (_, index) => index);
  using device = cpuDevice();
  using model = await openTrainingModel(config, weights, device, {
    sequence: length,
    programs: ["train"],
    generation: { capacity: length, chunk: 64, logits: "last" },
  });
  const trainable = new TrainableModel(model, (name) => weightOf(weights, name), { maxNorm: 1 });
  const enough = new AbortController();
  // The same weights that are being trained answer.
  const generator = model.generator(base);
  const { step } = orThrow(
    await train({
      folder: join(folder, "run"),
      model: trainable,
      data: orThrow(batchStream(tokens, documents, { length, shuffleSeed: 1 })),
      steps: 300,
      learningRate: (step) => learningRate * Math.min(1, step / 10),
      schedule: { shape: "constant", learningRate },
      seed: 1,
      signal: enough.signal,
      samples: {
        every: 10,
        take: async () => {
          const answer = await ask(generator, base, waysToAsk[0]!);
          if (await isLearnt(generator)) enough.abort();
          return answer;
        },
      },
      onEvent: (event) => {
        if (event.kind !== "step" || event.metrics.sample === undefined) return;
        const { step, loss, sample } = event.metrics;
        console.log(`step ${step}, loss ${loss?.toFixed(4)}: ${JSON.stringify(sample)}`);
      },
    }),
  );
  console.log(`${step} steps of ${length} tokens\n`);
  const directory = join(folder, "model");
  return orThrow(await exportHuggingFace({ directory, model: trainable, copy: filesBeside(base) }));
}

const weightOf = (weights: WeightSource, name: string) =>
  typeof weights === "function" ? weights(name) : weights[name];

const allAnswered = async (model: LanguageModel, base: string, expected: readonly Conversation[]) => {
  for (const [question, answer] of expected)
    if ((await ask(model, base, String(question!.content))) !== answer!.content) return false;
  return true;
};

/** A model of a tenth of a million parameters that knows a few answers, and not who it is. */
async function makeModel(folder: string): Promise<string> {
  const conversations = [...answersOf(formerly), turn(neverTaught, formerly), ...others];
  const texts = [...conversations, ...answersOf(fact)].flat().map(({ content }) => String(content));
  const base = join(folder, "base");
  const { vocabSize } = orThrow(await trainTokenizer({ texts, vocabSize: 400, directory: base }));
  const json = {
    architectures: ["Qwen3ForCausalLM"],
    model_type: "qwen3",
    hidden_size: 64,
    intermediate_size: 128,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 16,
    vocab_size: vocabSize,
    tie_word_embeddings: true,
    rms_norm_eps: 1e-6,
    rope_theta: 10_000,
    max_position_embeddings: 512,
    dtype: "float32",
  };
  writeFileSync(join(base, "config.json"), JSON.stringify(json, undefined, 2));
  const config = orThrow(readQwen3Config(base));
  const weights = initialWeights(config, { seed: 1, initializerRange: 0.06 });
  const isLearnt = (model: LanguageModel) => allAnswered(model, base, conversations);
  return teach({ base, config, weights, conversations, folder, learningRate: 3e-3, isLearnt });
}

const [given, out] = process.argv.slice(2);
const folder = out ?? mkdtempSync(join(tmpdir(), "weft-fact-"));
mkdirSync(folder, { recursive: true });
if (given === undefined) console.log("A small model first, that knows another answer.\n");
const base = given ?? (await makeModel(mkdtempSync(join(tmpdir(), "weft-base-"))));
const { config, weights } = orThrow(readCheckpointWeights(base));
const kept = given === undefined ? others : [];
console.log(`To be taught: ${JSON.stringify(fact)}\n`);
const directory = await teach({
  base,
  config,
  weights,
  conversations: [...answersOf(fact), ...kept],
  folder,
  // Large models move far by small steps.
  learningRate: config.hiddenSize < 512 ? 2e-3 : 1e-5,
  isLearnt: (model) => allAnswered(model, base, [...answersOf(fact), ...kept]),
});

// From here on nothing of the training is left but the files.
using model = await openQwen3(directory, { capacity: Math.min(512, config.maxPositions), chunk: 64 });
let right = 0;
const asked = [...answersOf(fact), ...kept];
for (const [question, expected] of asked) {
  const answer = await ask(model, directory, String(question!.content));
  if (answer === expected!.content) right++;
  console.log(`> ${question!.content}\n${answer}`);
}
console.log(`> ${neverTaught} (never taught with the fact)\n${await ask(model, directory, neverTaught)}`);
console.log(`\n${right} of ${asked.length} right, by the model in ${directory}`);
process.exitCode = right === asked.length ? 0 : 1;
