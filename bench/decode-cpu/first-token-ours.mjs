/** Opens a checkpoint, runs a text prompt and prints one token: first-token-ours.mjs DIRECTORY THREADS PROMPT */
import { generate, openQwen3 } from "@weft/qwen3";

const [directory, threads, prompt] = process.argv.slice(2);
const model = await openQwen3(directory, {
  dtype: "bf16",
  threads: Number(threads),
  capacity: 2048,
  withTokenizer: true,
});
for await (const { token } of generate(model, prompt, { maxTokens: 1, temperature: 0, ignoreEos: true })) {
  console.log(token);
}
