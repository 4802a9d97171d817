/** Logits and greedy text against the oracle and against the CPU runtime. */
import { generate, type LogitsMode, logitsOf } from "@weft/qwen3";
import { largestDifference } from "../support/largest-difference.ts";
import { atMost, type Checks, equal } from "./checks.ts";
import { likeliest, relativeDifference, type Subject } from "./model.ts";

const modes: readonly LogitsMode[] = ["whole", "step", { chunk: 7 }];
/** Rows `oracle-f32` and `oracle-bf16` of docs/numerics.md. */
const oracleBound = { f32: 1e-4, bf16: 2e-2 };
/** Between the CPU and a GPU, on the same weights: the same as a difference in f32, relative in bf16. */
const cpuBound = { f32: 1e-4, bf16: 1e-2 };

const modeName = (mode: LogitsMode) => (typeof mode === "string" ? mode : `chunks of ${mode.chunk}`);

export async function checkOracle(checks: Checks, subject: Subject): Promise<void> {
  const { title, dtype, oracle, gpu, cpu } = subject;
  const difference = dtype === "f32" ? largestDifference : relativeDifference;
  const measure = dtype === "f32" ? "largest difference" : "relative RMS";
  for (const mode of modes) {
    await checks.check(`${title}, ${modeName(mode)}: logits`, async () => {
      const { logits } = await logitsOf(gpu, oracle.tokens, { mode });
      const reference = await logitsOf(cpu, oracle.tokens, { mode });
      const toOracle = atMost(
        difference(logits, oracle.logits),
        oracleBound[dtype],
        `${measure} to the oracle`,
      );
      const toCpu = atMost(difference(logits, reference.logits), cpuBound[dtype], "to the CPU");
      equal(likeliest(logits), likeliest(oracle.logits), "likeliest tokens");
      return `${toOracle.replace(/ \(.*/, "")}, ${toCpu}`;
    });
  }
  await checks.check(`${title}: greedy text`, async () => {
    const { tokens } = await generate(gpu, oracle.tokens, {
      temperature: 0,
      ignoreEos: true,
      maxTokens: oracle.greedy.length,
      text: false,
    }).finish();
    return equal(tokens, oracle.greedy, "tokens");
  });
}
