// npm start                               random weights, made anew each time
// npm start -- path/to/checkpoint "..."   a checkpoint whose tensors have the names and shapes of this model's parameters
import { join } from "node:path";
import { generate, openQwen3 } from "@weft/qwen3";
import model from "./model.ts";
import { writeRandomWeights } from "./random-weights.ts";

const [checkpoint, prompt = "The capital of France is"] = process.argv.slice(2);
const project = join(import.meta.dirname, "..");
const directory =
  checkpoint ?? (await writeRandomWeights(join(project, "config.json"), join(project, "random-weights")));

using opened = await openQwen3(directory, { model });
if (checkpoint === undefined) {
  // Random weights have no tokenizer, so ids go in and come out.
  const text = generate(opened, [1, 2, 3], { maxTokens: 8, temperature: 0, text: false });
  console.log("tokens:", (await text.finish()).tokens.join(", "));
} else {
  for await (const { text } of generate(opened, prompt, { maxTokens: 64 })) process.stdout.write(text);
  console.log();
}
