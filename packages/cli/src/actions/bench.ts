/** `weft bench`: how fast a model reads and writes here, beside what memory must deliver for it. */
import { costOf, formatBytes, totalCost } from "@weft/compiler";
import { type GenerationTiming, generate, type Qwen3 } from "@weft/qwen3";
import type { BenchOptions } from "../commands/bench.ts";
import { openModel } from "../model/open.ts";
import { promptOf } from "../model/prompt.ts";
import { interruption, stopsInOrder } from "../terminal/interrupt.ts";
import { print, printJson } from "../terminal/output.ts";
import { Progress } from "../terminal/progress.ts";
import { formatTable } from "../terminal/table.ts";

interface Measured {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

interface Figures {
  readonly model: string;
  readonly dtype: string;
  readonly threads: number;
  readonly promptTokens: number;
  readonly genTokens: number;
  readonly repeat: number;
  readonly prefillTokensPerSecond: Measured;
  readonly decodeTokensPerSecond: Measured | null;
  readonly firstTokenMilliseconds: Measured;
  /** Of one decode step in the middle of the generated text, by the cost model. */
  readonly bytesPerToken: number;
  readonly gigabytesPerSecond: number | null;
  readonly memoryBytes: number;
}

export async function bench(directory: string, options: BenchOptions): Promise<void> {
  const { promptTokens, genTokens, repeat } = options;
  using _order = stopsInOrder();
  using model = await openModel(directory, { ...options, capacity: promptTokens + genTokens });
  const timings: GenerationTiming[] = [];
  const progress = new Progress();
  for (let run = 0; run <= repeat && !interruption.aborted; run++) {
    progress.update("measuring", run, repeat + 1);
    const { timing } = await generate(model, promptOf(promptTokens, model.config.vocabSize), {
      maxTokens: genTokens,
      temperature: 0,
      repetitionPenalty: 1,
      ignoreEos: true,
      text: false,
      signal: interruption,
    }).finish();
    // The first run warms caches and pages.
    if (run > 0) timings.push(timing);
  }
  progress.clear();
  if (interruption.aborted) return;
  const figures = figuresOf(model, directory, options, timings);
  if (options.json === true) await printJson(figures);
  else await print(report(figures));
}

function figuresOf(
  model: Qwen3,
  directory: string,
  { promptTokens, genTokens, repeat }: BenchOptions,
  timings: readonly GenerationTiming[],
): Figures {
  const decode = timings.flatMap((one) => one.decodeTokensPerSecond ?? []);
  const decoded = decode.length === 0 ? null : measured(decode);
  const bytesPerToken = decodeBytes(model, promptTokens + Math.floor(genTokens / 2));
  const memory = model.executable.memory();
  return {
    model: directory,
    dtype: model.options.dtype,
    threads: memory.threads,
    promptTokens,
    genTokens,
    repeat,
    prefillTokensPerSecond: measured(timings.flatMap((one) => one.prefillTokensPerSecond ?? [])),
    decodeTokensPerSecond: decoded,
    firstTokenMilliseconds: measured(timings.map((one) => one.firstTokenMilliseconds)),
    bytesPerToken,
    gigabytesPerSecond: decoded === null ? null : (decoded.median * bytesPerToken) / 1e9,
    memoryBytes: memory.total,
  };
}

function decodeBytes({ plan }: Qwen3, past: number): number {
  const program = plan.programs.find((one) => one.name === "decode")!;
  const cost = totalCost(costOf(plan, program, { seq: 1, past, dropped: 0 }));
  return cost.readBytes + cost.writtenBytes;
}

function measured(values: readonly number[]): Measured {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, least: sorted[0]!, most: sorted.at(-1)! };
}

function report(figures: Figures): string {
  const { prefillTokensPerSecond: prefill, decodeTokensPerSecond: decode } = figures;
  const row = (name: string, unit: string, one: Measured) => [
    name,
    one.median.toFixed(1),
    unit,
    `${one.least.toFixed(1)} to ${one.most.toFixed(1)}`,
  ];
  const table = formatTable(
    [{ title: "" }, { title: "median", align: "right" }, { title: "" }, { title: "range" }],
    [
      row(`prefill of ${figures.promptTokens}`, "tokens/s", prefill),
      ...(decode === null ? [] : [row(`decode of ${figures.genTokens}`, "tokens/s", decode)]),
      row("first token", "ms", figures.firstTokenMilliseconds),
    ],
  );
  const bandwidth =
    figures.gigabytesPerSecond === null ? "" : `, ${figures.gigabytesPerSecond.toFixed(2)} GB/s`;
  return `${table}\n\n${figures.model}, ${figures.dtype}, ${figures.threads} threads, ${figures.repeat} runs
${formatBytes(figures.bytesPerToken)} moved per token${bandwidth}; memory ${formatBytes(figures.memoryBytes)}`;
}
