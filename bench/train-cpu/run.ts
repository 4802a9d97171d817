/**
 * One step of training on the CPU, forward, backward and update, beside PyTorch, eager and compiled: time, peak memory,
 * and which of our kernels take the time.
 *
 *     npm run bench:train-cpu -- [--rounds 5] [--steps 2] [--threads 2] [--shape 10M] [--profile] [--patience 30]
 *                                [--python PATH]
 *
 * The candidates are processes with the same weights and tokens that take turns, so that what else the machine does meets
 * all of them; ratios are taken within a round. Their losses are compared: they must train the same.
 */
import { parseArgs } from "node:util";
import { type Share, sharesOf } from "@weft/runtime";
import { waitForQuiet } from "../machine/others.ts";
import { DisposableList } from "../support/disposable-list.ts";
import { writeResults } from "../support/results.ts";
import { digits, median, showSpread, spreadOf } from "../support/statistics.ts";
import { shareTable, table } from "../support/table.ts";
import { Candidate, candidatesOf, howToInstallPeer, type MemoryUse } from "./candidate.ts";
import { batch, makeCheckpoint, positions, trainShapes } from "./shapes.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    steps: { type: "string", default: "2" },
    threads: { type: "string", default: "2" },
    shape: { type: "string" },
    profile: { type: "boolean", default: false },
    patience: { type: "string", default: "30" },
    python: { type: "string" },
  },
});
const { rounds, steps, threads, patience } = Object.fromEntries(
  (["rounds", "steps", "threads", "patience"] as const).map((name) => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < (name === "patience" ? 0 : 1))
      throw new Error(`[bench] --${name} must be a positive integer; given ${values[name]}`);
    return [name, value];
  }),
) as Record<"rounds" | "steps" | "threads" | "patience", number>;
const shapes = trainShapes.filter(({ name }) => values.shape === undefined || values.shape === name);
if (shapes.length === 0)
  throw new Error(`[bench] --shape must be one of ${trainShapes.map(({ name }) => name).join(", ")}`);

/** What one side did; `rounds` holds the median step of each round. */
interface Measured {
  readonly name: string;
  readonly isPeer: boolean;
  readonly version: string;
  readonly rounds: number[];
  readonly losses: number[];
  memory: MemoryUse;
}

const warmSteps = 2;
const results: object[] = [];
const missed: string[] = [];
for (const shape of shapes) {
  const { directory, parameters } = makeCheckpoint(shape);
  const descriptions = candidatesOf(directory, threads, values.python);
  if (descriptions.length === 1) console.log(howToInstallPeer);
  using candidates = new DisposableList(descriptions.map((one) => new Candidate(one)));
  const all: { readonly candidate: Candidate; readonly measured: Measured }[] = [];
  for (const candidate of candidates.all) {
    const { version } = await candidate.open();
    const { losses } = await candidate.train(warmSteps);
    const { name, isPeer } = candidate;
    const memory = { peakBytes: 0 };
    all.push({ candidate, measured: { name, isPeer, version, rounds: [], losses: [...losses], memory } });
  }
  for (let round = 0; round < rounds; round++) {
    for (const { candidate, measured } of all) {
      await waitForQuiet(patience);
      const { milliseconds, losses } = await candidate.train(steps);
      measured.rounds.push(median(milliseconds));
      measured.losses.push(...losses);
    }
  }
  for (const { candidate, measured } of all) measured.memory = await candidate.memory();
  const [ours, ...peers] = all.map(({ measured }) => measured);
  const sameLoss = (peer: Measured) =>
    peer.losses.every((loss, at) => Math.abs(loss - ours!.losses[at]!) <= 1e-3 * Math.abs(loss));
  const rows = [ours!, ...peers].map((one) => [
    one.name,
    showSpread(spreadOf(one.rounds)),
    digits((positions / median(one.rounds)) * 1000),
    digits((6 * parameters * positions) / median(one.rounds) / 1e6),
    digits(one.memory.peakBytes / 2 ** 20),
    one.isPeer ? digits(median(one.rounds.map((time, round) => time / ours!.rounds[round]!))) : "",
    one.isPeer ? digits(ours!.memory.peakBytes / one.memory.peakBytes) : "",
    one.isPeer ? (sameLoss(one) ? "the same" : "OTHERS") : digits(one.losses.at(-1)!),
  ]);
  const millions = digits(parameters / 1e6);
  console.log(
    `\n${shape.name} (${millions} million parameters, f32), ${batch.documents} x ${batch.length} tokens, ${threads} threads\n`,
  );
  const head = [
    "",
    "ms per step",
    "tokens/s",
    "GFLOP/s (6 N)",
    "peak MiB",
    "ours is faster by",
    "ours / its memory",
    "losses",
  ];
  console.log(table([head, ...rows]));
  const { planned, kernels } = ours!.memory;
  console.log(`\nours: ${kernels} kernels; MiB: ${showMemory(planned ?? {})}`);
  for (const peer of peers) if (!sameLoss(peer)) missed.push(`${shape.name}: ${peer.name} has other losses`);
  let shares: readonly Share[] | undefined;
  if (values.profile) {
    shares = sharesOf((await all[0]!.candidate.profile(3)).steps, "kernel");
    console.log(`\n${shareTable("kernel", shares)}`);
  }
  results.push({ shape: shape.name, parameters, candidates: [ours, ...peers], kernels: shares });
}
console.log(`\nwritten to ${writeResults("train-cpu", { rounds, steps, threads, batch, results })}`);
for (const text of missed) console.error(text);
process.exitCode = missed.length === 0 ? 0 : 1;

function showMemory(planned: Readonly<Record<string, number>>): string {
  const parts = Object.entries(planned).filter(([, bytes]) => bytes >= 2 ** 20);
  return parts.map(([name, bytes]) => `${name} ${digits(bytes / 2 ** 20)}`).join(", ");
}
