/**
 * How long the compiler takes for Qwen3-4B (36 layers, prefill and decode), in a fresh process after import.
 *
 *     npm run bench:compile -- [--rounds 5] [--patience 0]
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { qwen3Of4B } from "../../test/support/qwen3-config.ts";
import { endedChildrenSeconds, waitForQuiet, watchOthers } from "../machine/others.ts";
import { writeResults } from "../support/results.ts";
import { digits, median, percent, showSpread, spreadOf } from "../support/statistics.ts";
import { table } from "../support/table.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    patience: { type: "string", default: "0" },
  },
});
const [rounds, patience] = [Number(values.rounds), Number(values.patience)];
const targetMilliseconds = 1000;

interface Whole {
  readonly milliseconds: number;
  /** Of all threads: the garbage collector and the just-in-time compiler work beside the program. */
  readonly processorMilliseconds: number;
  readonly steps: Readonly<Record<string, number>>;
  readonly kernels: number;
}

interface Stages {
  readonly times: Readonly<Record<string, number>>;
}

async function inFreshProcess<A>(what: "run" | "record" | "stages"): Promise<A> {
  const child = fork(fileURLToPath(new URL("child.mjs", import.meta.url)), [what], { execArgv: [] });
  const exit = once(child, "exit");
  child.send(qwen3Of4B);
  const [answer] = await Promise.race([once(child, "message"), exit]);
  const [code] = await exit;
  if (code !== 0) throw new Error(`[bench] the compiling process ended with exit code ${code}`);
  return answer as A;
}

type Measured = Whole & { readonly others: number | undefined };

async function undisturbed(what: "run" | "record"): Promise<Measured> {
  await waitForQuiet(patience);
  const before = endedChildrenSeconds();
  const { value, others } = await watchOthers(
    () => inFreshProcess<Whole>(what),
    () => endedChildrenSeconds() - before,
  );
  return { ...value, others };
}

const runs: Measured[] = [];
const recorded: Measured[] = [];
const stages: Stages[] = [];
for (let round = 0; round < rounds; round++) {
  runs.push(await undisturbed("run"));
  recorded.push(await undisturbed("record"));
  stages.push(await inFreshProcess<Stages>("stages"));
}

const total = spreadOf(runs.map(({ milliseconds }) => milliseconds))!;
const { steps, kernels } = runs[0]!;
const names = Object.keys(stages[0]!.times);
const times = names.map((name) => ({
  name,
  milliseconds: median(stages.map((one) => one.times[name] ?? 0)),
}));
const sum = times.reduce((all, one) => all + one.milliseconds, 0);
const steplist = Object.entries(steps).map(([name, count]) => `${name} of ${count} steps`);
console.log(`Qwen3-4B, ${qwen3Of4B.layers} layers: ${steplist.join(", ")}; ${kernels} kernels\n`);
console.log(
  table([
    ["stage with records, both programs, ms", "median", "share"],
    ...times.map(({ name, milliseconds }) => [name, digits(milliseconds), percent(milliseconds / sum)]),
  ]),
);
const short = total.median - targetMilliseconds;
const processor = (all: readonly Measured[]) =>
  spreadOf(all.map(({ processorMilliseconds }) => processorMilliseconds))!;
const withRecords = spreadOf(recorded.map(({ milliseconds }) => milliseconds))!;
console.log(
  `\ncompile for a run, equal layers once: ${showSpread(total)} ms, all threads' processor time ` +
    `${showSpread(processor(runs))} ms; at most ${targetMilliseconds} ms is wanted: ` +
    (short <= 0 ? "reached" : `short by ${digits(short)} ms`),
);
console.log(
  `compile with the records of every pass (dump, explain): ${showSpread(withRecords)} ms, ` +
    `all threads' processor time ${showSpread(processor(recorded))} ms`,
);
const others = [...runs, ...recorded].map((one) => one.others ?? 0);
console.log(`others kept ${digits(Math.max(...others))} processors busy at most`);
const file = writeResults("compile", {
  rounds,
  targetMilliseconds,
  total,
  withRecords,
  runs,
  recorded,
  stages,
});
console.log(`written to ${file}`);
