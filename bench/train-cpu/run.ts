/**
 * How long forward and backward of one training step take on the CPU, and which kernels take it.
 *
 *     npm run bench:train-cpu -- [--rounds 5] [--threads 2] [--shape 10M] [--chunk 256] [--patience 0]
 *
 * Four documents of 256 tokens are packed into one sequence. The peers' same step belongs into `candidates`: it is
 * measured in turns with ours, so that what else the machine does meets both.
 */
import { parseArgs } from "node:util";
import { type Compiled, costOf, type StepCost, totalCost } from "@weft/compiler";
import type { Executable, StepTime } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";
import { waitForQuiet } from "../machine/others.ts";
import { writeResults } from "../support/results.ts";
import { digits, median, percent, showSpread, spreadOf } from "../support/statistics.ts";
import { table } from "../support/table.ts";
import {
  batch,
  compileStep,
  parameterCount,
  positions,
  randomWeights,
  stepInputs,
  trainShapes,
} from "./step.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    threads: { type: "string", default: "2" },
    shape: { type: "string" },
    chunk: { type: "string", default: "256" },
    patience: { type: "string", default: "0" },
  },
});
const [rounds, threads, chunk, patience] = [values.rounds, values.threads, values.chunk, values.patience].map(
  Number,
) as [number, number, number, number];
const symbols = { seq: positions };

interface KernelShare {
  readonly kernel: string;
  readonly kind: string;
  readonly steps: number;
  /** Median over the rounds of the sum over the steps. */
  readonly milliseconds: number;
  readonly operations: number;
  readonly bytes: number;
}

/** The steps of one kernel together; medians over the rounds. */
function sharesOf(
  { plan }: Compiled,
  costs: readonly StepCost[],
  profiles: readonly (readonly StepTime[])[],
): KernelShare[] {
  const program = plan.programs[0]!;
  return plan.kernels.flatMap(({ name, kind }, index): KernelShare[] => {
    const steps = program.steps.flatMap((step, at) => (step.kernel === index ? [at] : []));
    if (steps.length === 0) return [];
    const cost = totalCost(steps.map((at) => costs[at]!));
    const times = profiles.map(
      (profile) => steps.reduce((sum, at) => sum + profile[at]!.nanoseconds, 0) / 1e6,
    );
    const bytes = cost.readBytes + cost.writtenBytes;
    return [
      {
        kernel: name,
        kind,
        steps: steps.length,
        milliseconds: median(times),
        operations: cost.operations,
        bytes,
      },
    ];
  });
}

const rates = ({ operations, bytes, milliseconds }: Omit<KernelShare, "kernel" | "kind" | "steps">) => [
  digits(operations / milliseconds / 1e6),
  digits(bytes / milliseconds / 1e6),
];

/** Every kernel that takes at least a hundredth, and the rest together. */
function printShares(shares: readonly KernelShare[]): void {
  const all = shares.reduce((sum, one) => sum + one.milliseconds, 0);
  const sorted = shares.toSorted((a, b) => b.milliseconds - a.milliseconds);
  const large = sorted.filter((one) => one.milliseconds >= all / 100);
  const small = sorted.slice(large.length);
  const sum = (of: (one: KernelShare) => number) => small.reduce((total, one) => total + of(one), 0);
  const rest: KernelShare = {
    kernel: `${small.length} others`,
    kind: "",
    steps: sum((one) => one.steps),
    milliseconds: sum((one) => one.milliseconds),
    operations: sum((one) => one.operations),
    bytes: sum((one) => one.bytes),
  };
  console.log(
    table([
      ["kernel", "kind", "steps", "ms", "share", "GFLOP/s", "GB/s"],
      ...[...large, ...(small.length === 0 ? [] : [rest])].map((one) => [
        one.kernel,
        one.kind,
        String(one.steps),
        digits(one.milliseconds),
        percent(one.milliseconds / all),
        ...rates(one),
      ]),
    ]),
  );
}

/** One way to run the step: ours by another plan, or later a peer's. */
interface Candidate {
  readonly name: string;
  readonly compiled: Compiled;
  readonly executable: Executable;
  readonly seconds: number[];
  readonly profiles: (readonly StepTime[])[];
}

using device = cpuDevice({ threads });
const results: object[] = [];
for (const { name, config } of trainShapes) {
  if (values.shape !== undefined && values.shape !== name) continue;
  const inputs = stepInputs(config);
  const candidates: Candidate[] = [];
  for (const [label, lossChunk] of [
    ["whole scores", undefined],
    [`scores in chunks of ${chunk}`, chunk],
  ] as const) {
    const compiled = compileStep(config, { fusion: true, lossChunk });
    const executable = await device.load(compiled.plan, randomWeights(compiled));
    candidates.push({ name: label, compiled, executable, seconds: [], profiles: [] });
  }
  for (let round = -1; round < rounds; round++) {
    await waitForQuiet(patience);
    for (const { executable, seconds, profiles } of candidates) {
      const outputs = { loss: new Float32Array(1) };
      const started = performance.now();
      const { steps } = await executable.profile("step", { symbols, inputs, outputs });
      // The first round warms caches and pages.
      if (round < 0) continue;
      seconds.push((performance.now() - started) / 1000);
      profiles.push(steps);
    }
  }
  for (const { name: label, compiled, executable, seconds, profiles } of candidates) {
    const costs = costOf(compiled.plan, compiled.plan.programs[0]!, symbols);
    const { operations, readBytes, writtenBytes } = totalCost(costs);
    const spread = spreadOf(seconds)!;
    const memory = executable.memory();
    const parameters = parameterCount(compiled);
    const shares = sharesOf(compiled, costs, profiles);
    console.log(
      `\n${name} (${digits(parameters / 1e6)} million parameters), ${batch.documents} x ${batch.length} tokens, ${threads} threads, ${label}\n`,
    );
    printShares(shares);
    const whole = { operations, bytes: readBytes + writtenBytes, milliseconds: spread.median * 1000 };
    const [rate, bandwidth] = rates(whole);
    console.log(
      `\nforward and backward: ${showSpread(spread, 1000)} ms, ${digits(positions / spread.median)} tokens/s, ` +
        `${rate} GFLOP/s, ${bandwidth} GB/s of what must be moved; ${compiled.plan.programs[0]!.steps.length} kernels; ` +
        `activations ${digits(memory.activations / 2 ** 20)} MiB, gradients ${digits(memory.output / 2 ** 20)} MiB, ` +
        `scratch ${digits((memory.scratchShared + memory.scratchPerThread * threads) / 2 ** 20)} MiB, ` +
        `all ${digits(memory.total / 2 ** 20)} MiB`,
    );
    results.push({ shape: name, candidate: label, parameters, spread, memory, whole, kernels: shares });
    executable[Symbol.dispose]();
  }
}
console.log(`\nwritten to ${writeResults("train-cpu", { rounds, threads, chunk, batch, results })}`);
