// The whole way in one file: a model as blocks, trained from nothing on the CPU, and a chat with what it has learnt.
//
//   npm start                          about a minute; the run and the checkpoint stay in a folder that it names
//   WEFT_MODEL=path/to/Qwen3-0.6B npm start     no training: that checkpoint's plan, and text
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatBytes, printPlan } from "@weft/compiler";
import { prettyBlock } from "@weft/dsl";
import { generate, openQwen3, type Qwen3, qwen3Model } from "@weft/qwen3";
import { ask, openSession, score } from "./quickstart/ask.ts";
import { learn } from "./quickstart/learn.ts";
import { makeQuestions } from "./quickstart/questions.ts";

const steps = 600;

async function train(): Promise<string> {
  const questions = makeQuestions({ seed: 1 });
  const folder = mkdtempSync(join(tmpdir(), "weft-quickstart-"));
  const { learnt, heldOut } = questions;
  console.log(`${learnt.length} questions to learn from, ${heldOut.length} that are never shown.\n`);
  // The plan that trains also generates, from the same weights.
  const asked = heldOut.find(({ kind }) => kind === "fact")!;
  const losses: number[] = [];
  const started = performance.now();
  const directory = await learn({
    folder,
    questions: learnt,
    steps,
    onReady: ({ config, executable }) => {
      console.log("The model, as blocks:\n");
      console.log(prettyBlock(qwen3Model(config)));
      const program = executable.plan.programs.find(({ name }) => name === "train")!;
      const bytes = formatBytes(executable.memory().total);
      console.log(
        `\nIts training step, forward, backward and update: ${program.steps.length} kernels, ${bytes}.\n`,
      );
    },
    asked: { question: asked.text, every: 100 },
    onStep: ({ step, loss, sample }) => {
      losses.push(loss ?? Number.NaN);
      if (sample === undefined) return;
      console.log(`step ${step} of ${steps}: loss ${loss?.toFixed(4)}; ${asked.text} ${sample}`);
    },
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  console.log(`\nThe loss, from ${losses[0]!.toFixed(2)} down in ${seconds} s: ${curve(losses, 60)}`);
  console.log(`Curves: ${join(folder, "run", "curves.svg")}\nCheckpoint: ${directory}`);
  return directory;
}

/** A line of text that rises and falls with the numbers. */
function curve(values: readonly number[], width: number): string {
  const blocks = "▁▂▃▄▅▆▇█";
  const size = Math.ceil(values.length / width);
  const largest = Math.max(...values);
  return Array.from({ length: Math.ceil(values.length / size) }, (_, at) => {
    const part = values.slice(at * size, (at + 1) * size);
    const mean = part.reduce((sum, one) => sum + one, 0) / part.length;
    return blocks[Math.min(blocks.length - 1, Math.floor((mean / largest) * blocks.length))];
  }).join("");
}

async function chat(model: Qwen3): Promise<void> {
  const { heldOut } = makeQuestions({ seed: 1 });
  console.log(
    "\nTwo turns over questions that were not among them, with what was said before in the cache:\n",
  );
  using session = openSession(model);
  const first = heldOut.find(({ kind }) => kind === "fact")!;
  const second = heldOut.find(({ kind }) => kind === "sum")!;
  for (const { text } of [first, second]) console.log(`> ${text}\n${await ask(session, text)}`);
  console.log("\nAnswers that are right to the letter:");
  for (const { kind, right, asked } of await score(model, heldOut)) {
    const what =
      kind === "new sum" ? "sums of numbers that were never added before" : `${kind}s in new words`;
    console.log(`  ${what}: ${right} of ${asked} (${((100 * right) / asked).toFixed(0)} %)`);
  }
}

const given = process.env.WEFT_MODEL;
const directory = given || (await train());
// Compiled anew each time, to show it; otherwise the plan of the last start would do.
using model = await openQwen3(directory, {
  planCache: false,
  ...(given ? {} : { capacity: 128, chunk: 64 }),
});
if (given) console.log(`The model, as blocks:\n\n${prettyBlock(qwen3Model(model.config))}`);

console.log(`\nThe plan that answers, compiled in ${model.compiled.milliseconds.toFixed(0)} ms:\n`);
console.log(printPlan(model.plan));

const { predicted, measured } = model.memory();
console.log(
  `\nMemory: ${formatBytes(predicted.total)} planned before loading, ${formatBytes(measured.total)} taken.`,
);
for (const program of model.compiled.programs) {
  console.log(
    `  ${program.program}: ${formatBytes(program.bytes)} of activations; no plan needs less than ${formatBytes(program.lowerBound)}`,
  );
}

if (given) {
  const prompt = "The capital of France is";
  console.log(`\n${prompt}`);
  const generation = generate(model, prompt, { maxTokens: 32, temperature: 0 });
  for await (const { text } of generation) process.stdout.write(text);
  const { timing } = generation.summary!;
  const rate = (timing.decodeTokensPerSecond ?? 0).toFixed(1);
  console.log(`\n\n${rate} tokens per second on the ${model.device.name}.`);
} else {
  await chat(model);
}
