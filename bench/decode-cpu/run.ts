/**
 * Prefill and decode of a random Qwen3-0.6B on the CPU, in bf16 and in 4 bits: ours beside node-llama-cpp, in turns in one
 * run; then how fast weights are quantised.
 *
 *     npm run bench:decode-cpu -- [--weights bf16,4bit] [--rounds 3] [--threads 2] [--patience 0] [--profile]
 *                                 [--no-start] [--no-quantize] [--no-peer]
 */
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type StepFigures, sharesOf, totalOf } from "@weft/runtime";
import { measureMultiplyAddRate } from "@weft/runtime-cpu";
import { ensureFourBit, ensureModel, type ModelFiles } from "../model/make.ts";
import { writeResults } from "../support/results.ts";
import { digits } from "../support/statistics.ts";
import { shareTable } from "../support/table.ts";
import {
  Candidate,
  type CandidateDescription,
  candidatesOf,
  howToInstallPeer,
  peerIsInstalled,
  type WeightKind,
  weightKinds,
} from "./candidate.ts";
import { calmest, capacity, chunk, measureThroughput, promptOf } from "./measure.ts";
import { timeQuantizing } from "./quantize.ts";
import {
  showBandwidth,
  showDisturbance,
  showMemory,
  showQuantizing,
  showStarts,
  showTargets,
  showThroughput,
} from "./report.ts";
import { startPrograms, timeStart } from "./start.ts";
import { type Measured, targetsOf } from "./targets.ts";

const { values: options } = parseArgs({
  allowNegative: true,
  options: {
    rounds: { type: "string", default: "3" },
    threads: { type: "string", default: "2" },
    patience: { type: "string", default: "0" },
    profile: { type: "boolean", default: false },
    start: { type: "boolean", default: true },
    quantize: { type: "boolean", default: true },
    weights: { type: "string", default: weightKinds.join() },
    peer: { type: "boolean", default: true },
  },
});
const [rounds, threads, patience] = [options.rounds, options.threads, options.patience].map(Number) as [
  number,
  number,
  number,
];
const kinds = options.weights.split(",").map((given) => {
  const kind = weightKinds.find((one) => one === given);
  if (kind === undefined)
    throw new Error(`[bench] --weights must be some of ${weightKinds.join()}, not ${given}`);
  return kind;
});
const say = (text: string) => console.error(`[bench] ${text}`);

async function measureStarts(model: ModelFiles): Promise<Measured["starts"]> {
  const programs = startPrograms(model, threads).filter(
    ({ name }) => options.peer || name !== "node-llama-cpp",
  );
  const starts: { name: string; seconds: number; others: number | undefined }[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const program of programs) {
      say(`round ${round + 1} of ${rounds}: start of ${program.name}`);
      const { seconds, others } = await calmest(async () => {
        const watched = await timeStart(program);
        return { seconds: watched.value.seconds, others: watched.others };
      }, patience);
      starts.push({ name: program.name, seconds, others });
    }
  }
  return starts;
}

async function measureQuantizing(model: ModelFiles): Promise<Measured["quantizing"]> {
  const runs: Measured["quantizing"][number][] = [];
  for (let round = 0; round < rounds; round++) {
    say(`round ${round + 1} of ${rounds}: quantising`);
    runs.push(await timeQuantizing(model));
  }
  return runs;
}

/** The quickest of five runs of each program, so that a moment's disturbance does not show. */
async function profile(description: CandidateDescription) {
  using candidate = new Candidate(description);
  await candidate.load(capacity, chunk);
  await candidate.generate(promptOf(1040), 2);
  const best = async (program: "prefill" | "decode", count: number, past: number) => {
    const runs: StepFigures[][] = [];
    for (let i = 0; i < 5; i++) runs.push(await candidate.profile(program, count, past));
    return runs.toSorted((a, b) => totalOf({ steps: a }) - totalOf({ steps: b }))[0]!;
  };
  return {
    "decode at 128": await best("decode", 1, 128),
    "decode at 1024": await best("decode", 1, 1024),
    "prefill of 512": await best("prefill", 512, 0),
  };
}

const model = ensureModel("qwen3-0.6b", "bf16", { say });
const fourBit = kinds.includes("4bit") ? await ensureFourBit("qwen3-0.6b", { say }) : undefined;
if (!peerIsInstalled()) say(howToInstallPeer);
const candidates = candidatesOf(model, fourBit, threads);
const descriptions = kinds
  .flatMap((kind: WeightKind) => candidates[kind])
  .filter(({ program }) => options.peer || program === "ours.mjs");
const multiplyAdds = await measureMultiplyAddRate(threads);
const { samples, memory } = await measureThroughput(descriptions, { threads, rounds, patience, say });
// The candidates' processes end before the next ones start.
await sleep(500);
const starts = options.start && kinds.includes("bf16") ? await measureStarts(model) : [];
const quantizing = options.quantize && kinds.includes("4bit") ? await measureQuantizing(model) : [];
const measured: Measured = { samples, memory, starts, quantizing };

console.log(`Qwen3-0.6B, random weights, ${threads} threads, ${digits(multiplyAdds / 1e9)} GFLOP/s in f32\n`);
console.log(`${showThroughput(samples)}\n\n${showBandwidth(samples)}\n\n${showMemory(memory)}\n`);
if (starts.length > 0) console.log(`${showStarts(starts)}\n`);
if (quantizing.length > 0) console.log(`${showQuantizing(quantizing)}\n`);
console.log(showTargets(measured));
const disturbance = showDisturbance(samples);
if (disturbance) console.log(`\n${disturbance}`);
// Of each kind of weights our first candidate, which the targets speak of.
for (const description of options.profile ? kinds.map((kind) => candidates[kind][0]!) : []) {
  for (const [title, steps] of Object.entries(await profile(description))) {
    console.log(`\n${shareTable(`${description.name}: ${title}`, sharesOf(steps, "kernel"))}`);
  }
}
const file = writeResults("decode-cpu", {
  threads,
  rounds,
  weights: kinds,
  multiplyAddsPerSecond: multiplyAdds,
  targets: targetsOf(measured),
  ...measured,
});
console.log(`\nwritten to ${file}`);
