/** node-llama-cpp through its public API, with its prebuilt CPU library: peer.mjs FILE.gguf THREADS */
import { getLlama } from "node-llama-cpp";
import { peakMemory, serve, timeTokens } from "./child.mjs";

const [file, threads] = process.argv.slice(2);
let llama;
let sequence;

serve({
  async load({ capacity, chunk }) {
    // Neither downloads nor builds anything.
    llama = await getLlama({ gpu: false, build: "never", skipDownload: true, maxThreads: Number(threads) });
    const model = await llama.loadModel({ modelPath: file });
    const context = await model.createContext({
      contextSize: capacity,
      batchSize: chunk,
      threads: Number(threads),
    });
    sequence = context.getSequence();
  },
  async generate({ prompt, count }) {
    await sequence.clearHistory();
    return timeTokens(() => sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true }), count);
  },
  memory() {
    return { peak: peakMemory() };
  },
});
