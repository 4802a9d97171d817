/** `weft memory`: what a plan will take, before anything runs. */
import { type Compiled, formatBytes } from "@weft/compiler";
import { WeftError } from "@weft/dsl";
import { trainingMemory } from "@weft/qwen3";
import type { MemoryTable } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";
import type { MemoryOptions } from "../commands/memory.ts";
import { type CompiledTarget, compileTarget } from "../target/compile-target.ts";
import { openTarget } from "../target/target.ts";
import { print, printJson, remark } from "../terminal/output.ts";
import { formatTable } from "../terminal/table.ts";
import { printTrainingMemory } from "../train/memory-table.ts";

/** Bytes by purpose, as the device will allocate them. */
interface Report {
  readonly weights: number;
  /** Keys and values of the context, and other state that outlives a run. */
  readonly state: number;
  readonly activations: number;
  /** The most bytes that are alive in any one step: no plan needs less. */
  readonly activationsLowerBound: number;
  readonly input: number;
  readonly output: number;
  /** Room of the threads; null where the native addon, which knows it, is not built. */
  readonly scratch: number | null;
  readonly threads: number | null;
  readonly peak: number;
  readonly programs: readonly { name: string; activations: number; lowerBound: number; steps: number }[];
}

export async function memory(path: string, options: MemoryOptions): Promise<void> {
  const target = await openTarget(path, options.export);
  const compiled = compileTarget(target, options, "cpu", false);
  if (compiled.training !== undefined) {
    const { json } = options;
    const table = predictOn(options.threads, compiled);
    return printTrainingMemory(trainingMemory(compiled.compiled.plan, table), { ...compiled.training, json });
  }
  const report = reportOf(compiled, options.threads);
  if (options.json === true) await printJson(report);
  else await print(formatReport(report, compiled.compiled));
}

function reportOf(target: CompiledTarget, threads: number | undefined): Report {
  const { plan, programs } = target.compiled;
  const { weights, state, activations, input, output } = plan.memory;
  const predicted = predict(target, threads);
  const scratch =
    predicted === undefined ? null : predicted.scratchShared + predicted.scratchPerThread * predicted.threads;
  return {
    weights,
    state,
    activations,
    activationsLowerBound: Math.max(0, ...programs.map((one) => one.lowerBound)),
    input,
    output,
    scratch,
    threads: predicted?.threads ?? null,
    peak: predicted?.total ?? weights + state + activations + input + output,
    programs: programs.map((one, index) => ({
      name: one.program,
      activations: one.bytes,
      lowerBound: one.lowerBound,
      steps: plan.programs[index]!.steps.length,
    })),
  };
}

/** The device's own prediction. */
function predictOn(threads: number | undefined, { compiled, weights }: CompiledTarget): MemoryTable {
  using device = cpuDevice(threads === undefined ? {} : { threads });
  return device.predictMemory(compiled.plan, weights === undefined ? {} : { weights });
}

/** The same, where the device is there: everything but the scratch is known without it. */
function predict(target: CompiledTarget, threads: number | undefined): MemoryTable | undefined {
  try {
    return predictOn(threads, target);
  } catch (error) {
    const missing = error instanceof WeftError && error.message.includes("native addon");
    if (!missing) throw error;
    remark(`without the scratch of the runtime: ${error.message}`);
    return undefined;
  }
}

function formatReport(report: Report, { plan }: Compiled): string {
  const cached = plan.buffers.some(({ positions }) => positions >= 0);
  const rows: [string, number, string][] = [
    ["weights", report.weights, "mapped from their file where its types and layout allow"],
    [cached ? "KV cache" : "state", report.state, capacityNote(plan.symbols)],
    ["activations", report.activations, boundNote(report.activations, report.activationsLowerBound)],
    ["input", report.input, ""],
    ["output", report.output, ""],
    ["scratch", report.scratch ?? 0, scratchNote(report)],
  ];
  const shown = rows.filter(([, bytes, note]) => bytes > 0 || note !== "");
  const table = formatTable(
    [{ title: "" }, { title: "", align: "right" }, { title: "" }],
    [...shown, ["peak", report.peak, ""] as const].map(([name, bytes, note]) => [
      name,
      formatBytes(bytes),
      note,
    ]),
  );
  const programs = report.programs.map(
    (one) =>
      `${one.name}: ${one.steps} steps, activations ${formatBytes(one.activations)}, ${boundNote(one.activations, one.lowerBound)}`,
  );
  return `${table}\n\n${programs.join("\n")}`;
}

function boundNote(bytes: number, lowerBound: number): string {
  if (lowerBound === 0) return "none needed";
  return `lower bound ${formatBytes(lowerBound)} (${((100 * bytes) / lowerBound).toFixed(1)} %)`;
}

function capacityNote(symbols: Compiled["plan"]["symbols"]): string {
  const keys = symbols.find((one) => one.name === "keys" && one.sum.length > 0);
  return keys === undefined ? "" : `${keys.max} tokens`;
}

function scratchNote({ scratch, threads }: Report): string {
  return scratch === null ? "unknown until the native addon is built" : `of ${threads} threads`;
}
