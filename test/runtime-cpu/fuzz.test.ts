/**
 * Plans damaged at random never crash: each loads and runs, or is an Error. WEFT_FUZZ_CASES sets how many of each kind, WEFT_FUZZ_SEED other ones.
 * What was changed is printed before a case only with WEFT_FUZZ_TRACE, to find the one behind a crash.
 */
import { writeSync } from "node:fs";
import type { Plan } from "@weft/compiler";
import { orThrow } from "@weft/dsl";
import { compileQwen3 } from "@weft/qwen3";
import type { Executable } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { leaves, mutate, valueAt } from "../support/damage.ts";
import { configOf } from "../support/qwen3-config.ts";
import { inputsOf, randomBuffers, randomSource, weightsOf } from "./compare.ts";
import { qkvPlan } from "./plans.ts";
import { symbolValues } from "./reference.ts";
import { trainingPlan } from "./training-plan.ts";

const test = suite("fuzz");
const casesOfEach = Number(process.env.WEFT_FUZZ_CASES ?? 800);
const seed = Number(process.env.WEFT_FUZZ_SEED ?? 5);
const trace = process.env.WEFT_FUZZ_TRACE !== undefined;

async function fuzz(
  name: string,
  plan: Plan,
  program: string,
  symbols: Record<string, number>,
): Promise<void> {
  const random = randomSource(name.length * 77 + seed);
  const buffers = randomBuffers(plan, 3);
  const weights = weightsOf(plan, buffers);
  const inputs = inputsOf({ plan, program, symbols }, buffers, symbolValues(plan, symbols));
  const all = leaves(plan);
  const numbers = all.filter((path) => typeof valueAt(plan, path) === "number");
  const counts = { ran: 0, refusedAtLoad: 0, refusedAtRun: 0 };
  using device = cpuDevice({ threads: 2, memoryLimitBytes: 2 ** 28, checkWeights: false });
  const attempt = async (edited: Plan): Promise<keyof typeof counts> => {
    let executable: Executable;
    try {
      executable = await device.load(edited, weights);
    } catch (error) {
      assert.instance(error, Error);
      return "refusedAtLoad";
    }
    // Sound, but perhaps of astronomic size: ended after a moment.
    const timer = setTimeout(() => executable[Symbol.dispose](), 2000);
    try {
      await executable.run(program, { symbols, inputs });
      return "ran";
    } catch (error) {
      assert.instance(error, Error);
      return "refusedAtRun";
    } finally {
      clearTimeout(timer);
      executable[Symbol.dispose]();
    }
  };
  for (let i = 0; i < casesOfEach; i++) {
    const edited = JSON.parse(JSON.stringify(plan)) as Plan;
    const changes = Array.from({ length: random() < 0.7 ? 1 : 3 }, () =>
      mutate(edited, random() < 0.8 ? numbers : all, random),
    );
    if (trace) writeSync(2, `${name} ${i}: ${changes.join("; ")}\n`);
    counts[await attempt(edited)]++;
  }
  console.log(`\n  ${name}: ${JSON.stringify(counts)}`);
  assert.ok(counts.ran > 0 && counts.refusedAtLoad > 0);
}

test("a plan by hand", async () => {
  const shape = { hidden: 16, heads: 4, kvHeads: 2, headDim: 8, capacity: 20, chunk: 6 };
  await fuzz("by hand", qkvPlan({ dtype: "bf16", ...shape }), "step", { past: 4, seq: 3 });
});

for (const fusion of [true, false]) {
  test(`a compiled Qwen3, ${fusion ? "fused" : "not fused"}`, async () => {
    const config = configOf({
      hidden: 16,
      layers: 1,
      heads: 4,
      kvHeads: 2,
      headDim: 8,
      intermediate: 24,
      vocab: 20,
    });
    const { plan } = orThrow(
      compileQwen3(config, {
        capacity: 12,
        chunk: 4,
        policy: "f32",
        storage: () => "f32",
        logits: "last",
        fusion,
      }),
    );
    const given = Object.fromEntries(
      plan.symbols.filter(({ sum }) => sum.length === 0).map(({ name }) => [name, name === "seq" ? 3 : 2]),
    );
    await fuzz(fusion ? "fused" : "not fused", plan, "prefill", given);
  });
}

test("a compiled step of training", async () => {
  await fuzz("training", trainingPlan({ lossChunk: 4 }), "step", { seq: 6 });
});

test.run();
