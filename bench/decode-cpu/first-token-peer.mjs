/** As first-token-ours.mjs, by the peer: first-token-peer.mjs FILE.gguf THREADS PROMPT */
import { getLlama } from "node-llama-cpp";

const [file, threads, prompt] = process.argv.slice(2);
const llama = await getLlama({ gpu: false, build: "never", skipDownload: true, maxThreads: Number(threads) });
const model = await llama.loadModel({ modelPath: file });
const context = await model.createContext({ contextSize: 2048, batchSize: 512, threads: Number(threads) });
const tokens = context
  .getSequence()
  .evaluate(model.tokenize(prompt), { temperature: 0, yieldEogToken: true });
for await (const token of tokens) {
  console.log(token);
  break;
}
process.exit(0);
