/** Ours through the public API, as a user drives it: ours.mjs DIRECTORY DTYPE THREADS */
import { costOf, totalCost } from "@weft/compiler";
import { generate, openQwen3 } from "@weft/qwen3";
import { stepFigures } from "@weft/runtime";
import { peakMemory, serve, timeTokens } from "./child.mjs";

const [directory, dtype, threads] = process.argv.slice(2);
let model;

serve({
  async load({ capacity, chunk }) {
    model = await openQwen3(directory, { dtype, threads: Number(threads), capacity, chunk });
  },
  generate({ prompt, count }) {
    const options = { maxTokens: count, temperature: 0, ignoreEos: true, text: false };
    return timeTokens(async function* () {
      for await (const { token } of generate(model, prompt, options)) yield token;
    }, count);
  },
  /** By the cost model: what memory must at least deliver for one token on a past of so many. */
  bytesPerToken({ past }) {
    const { plan } = model;
    const decode = plan.programs.find(({ name }) => name === "decode");
    const cost = totalCost(costOf(plan, decode, { seq: 1, past, dropped: 0 }));
    return cost.readBytes + cost.writtenBytes;
  },
  memory() {
    const { predicted, measured } = model.memory();
    return { peak: peakMemory(), predicted: predicted.total, measured: measured.total, table: measured };
  },
  /** One step of a program with the time and the cost of each of its steps. */
  async profile({ program, count, past }) {
    const { plan, executable } = model;
    const symbols = { seq: count, past, dropped: 0 };
    const inputs = { tokens: Int32Array.from({ length: count }, (_, i) => 1 + i) };
    return stepFigures(plan, program, symbols, [await executable.profile(program, { symbols, inputs })]);
  },
});
