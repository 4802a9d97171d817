// The whole way in one file: a model as blocks, the plan that the compiler makes of it, and text.
//
//   npm start                          the bundled tiny checkpoint, whose text is noise: its weights are random
//   WEFT_MODEL=path/to/Qwen3-0.6B npm start
import { fileURLToPath } from "node:url";
import { formatBytes, printPlan } from "@weft/compiler";
import { prettyBlock } from "@weft/dsl";
import { generate, openQwen3, qwen3Model } from "@weft/qwen3";

const tiny = fileURLToPath(new URL("../test/fixtures/tiny", import.meta.url));
const directory = process.env.WEFT_MODEL || tiny;

// Compiled anew each time, to show it; otherwise the plan of the last start would do.
using model = await openQwen3(directory, { planCache: false });

console.log("The model, as blocks:\n");
console.log(prettyBlock(qwen3Model(model.config)));

console.log(`\nThe plan, compiled in ${model.compiled.milliseconds.toFixed(0)} ms:\n`);
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

if (directory === tiny) console.log("\nThe bundled checkpoint is tiny and random, so what it says is noise:");
const prompt = "The capital of France is";
console.log(`\n${prompt}`);
const generation = generate(model, prompt, { maxTokens: 32, temperature: 0 });
for await (const { text } of generation) process.stdout.write(text);

const { timing } = generation.summary!;
console.log(
  `\n\n${(timing.decodeTokensPerSecond ?? 0).toFixed(1)} tokens per second on the ${model.device.name}.`,
);
