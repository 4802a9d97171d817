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
import { configOf } from "../support/qwen3-config.ts";
import { inputsOf, randomBuffers, randomSource, weightsOf } from "./compare.ts";
import { qkvPlan } from "./plans.ts";
import { symbolValues } from "./reference.ts";

const test = suite("fuzz");
const casesOfEach = Number(process.env.WEFT_FUZZ_CASES ?? 800);
const seed = Number(process.env.WEFT_FUZZ_SEED ?? 5);
const trace = process.env.WEFT_FUZZ_TRACE !== undefined;

type Path = (string | number)[];

/** Paths of all numbers and strings. */
function leaves(value: unknown, path: Path = []): Path[] {
  if (typeof value === "number" || typeof value === "string") return [path];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    leaves(inner, [...path, Array.isArray(value) ? Number(key) : key]),
  );
}

function get(holder: unknown, path: Path): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<string | number, unknown>)[key], holder);
}

const integers = [
  0,
  1,
  -1,
  2,
  3,
  7,
  8,
  15,
  16,
  17,
  64,
  255,
  256,
  4096,
  65536,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32,
  2 ** 46,
  2 ** 53 - 1,
  1 - 2 ** 53,
];

function mutate(plan: unknown, paths: readonly Path[], random: () => number): string {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const path = pick(paths);
  const old = get(plan, path);
  let value: unknown;
  if (typeof old === "number") {
    const kind = Math.floor(random() * 8);
    if (kind < 2) value = old + (random() < 0.5 ? 1 : -1);
    else if (kind === 2) value = old * 2;
    else if (kind === 3) value = -old;
    else if (kind === 4) value = pick(integers);
    else if (kind === 5) value = Math.floor(random() * 40);
    else if (kind === 6)
      value = get(plan, pick(paths.filter((other) => typeof get(plan, other) === "number")));
    else value = pick([0.5, Number.NaN, Number.POSITIVE_INFINITY, "1", null, [], {}, undefined, true]);
  } else {
    // Another word of the plan, often one that fits: a dtype, a class, a kind.
    value = pick([
      get(plan, pick(paths.filter((other) => typeof get(plan, other) === "string"))),
      "",
      3,
      null,
      "f16",
      "bf16",
      "update",
    ]);
  }
  (get(plan, path.slice(0, -1)) as Record<string | number, unknown>)[path.at(-1)!] = value;
  return `${path.join(".")}: ${String(old)} -> ${String(value)}`;
}

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
  const numbers = all.filter((path) => typeof get(plan, path) === "number");
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

test.run();
