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

async function inFreshProcess<A>(what: "whole" | "stages"): Promise<A> {
  const child = fork(fileURLToPath(new URL("child.mjs", import.meta.url)), [what], { execArgv: [] });
  const exit = once(child, "exit");
  child.send(qwen3Of4B);
  const [answer] = await Promise.race([once(child, "message"), exit]);
  const [code] = await exit;
  if (code !== 0) throw new Error(`[bench] the compiling process ended with exit code ${code}`);
  return answer as A;
}

const wholes: (Whole & { others: number | undefined })[] = [];
const stages: Stages[] = [];
for (let round = 0; round < rounds; round++) {
  await waitForQuiet(patience);
  const before = endedChildrenSeconds();
  const { value, others } = await watchOthers(
    () => inFreshProcess<Whole>("whole"),
    () => endedChildrenSeconds() - before,
  );
  wholes.push({ ...value, others });
  stages.push(await inFreshProcess<Stages>("stages"));
}

const total = spreadOf(wholes.map(({ milliseconds }) => milliseconds))!;
const { steps, kernels } = wholes[0]!;
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
    ["stage, both programs, ms", "median", "share"],
    ...times.map(({ name, milliseconds }) => [name, digits(milliseconds), percent(milliseconds / sum)]),
  ]),
);
const short = total.median - targetMilliseconds;
console.log(
  `\ncompile: ${showSpread(total)} ms; at most ${targetMilliseconds} ms is wanted: ` +
    (short <= 0 ? "reached" : `short by ${digits(short)} ms`),
);
console.log(
  `others kept ${digits(Math.max(...wholes.map(({ others }) => others ?? 0)))} processors busy at most`,
);
const processor = spreadOf(wholes.map(({ processorMilliseconds }) => processorMilliseconds))!;
console.log(`processor time of all its threads: ${showSpread(processor)} ms`);
const file = writeResults("compile", { rounds, targetMilliseconds, total, processor, wholes, stages });
console.log(`written to ${file}`);
