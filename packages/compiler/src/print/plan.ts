/** Plans as text: programs step by step with cost, memory with every buffer's life. */
import { oneLine } from "@weft/dsl";
import { costOf, type StepCost, type SymbolValues, totalCost } from "../cost/cost.ts";
import { lifetimesOf, type ProgramMemory } from "../plan/memory.ts";
import type { Plan, PlanProgram } from "../plan/types.ts";
import { formatBytes, formatCount } from "./amounts.ts";
import { foldRuns } from "./fold.ts";

const formatCost = (cost: StepCost) =>
  `${formatBytes(cost.readBytes)} read, ${formatBytes(cost.writtenBytes)} written, ${formatCount(cost.operations, "flop")}`;

/** Symbol values for a printed cost: a full chunk on an empty past, or one token on a half-full cache. */
export function exampleSymbols(plan: Plan, program: PlanProgram): Record<string, number> {
  const tokens = program.inputs[0]?.shape[0];
  const single = tokens !== undefined && tokens.terms.length === 0;
  const values: Record<string, number> = {};
  for (const symbol of plan.symbols) {
    if (symbol.sum.length > 0) continue;
    const sized = program.inputs.some((port) =>
      port.shape.some((one) => one.terms.some((term) => plan.symbols[term.symbol] === symbol)),
    );
    values[symbol.name] = sized ? symbol.max : 0;
  }
  if (single) {
    for (const symbol of plan.symbols) {
      if (symbol.sum.length === 0) continue;
      const [past, own] = symbol.sum.map((index) => plan.symbols[index]!.name);
      if (own !== undefined) values[own] = tokens.constant;
      if (past !== undefined) values[past] = Math.floor(symbol.max / 2);
    }
  }
  return values;
}

/** ` at seq=4, past=0:`; nothing for a plan without symbols. */
function formatAt(symbols: SymbolValues): string {
  const values = Object.entries(symbols).map(([name, value]) => `${name}=${value}`);
  return values.length === 0 ? "" : ` at ${values.join(", ")}:`;
}

export interface PrintPlanOptions {
  readonly symbols?: SymbolValues;
  /** Print every step instead of folding equal layers. */
  readonly unfolded?: boolean;
}

function shared(paths: readonly string[]): string {
  const first = paths.slice(0, 3).map(oneLine).join(", ");
  return paths.length <= 3 ? first : `${first}, ... (${paths.length})`;
}

export function printProgram(plan: Plan, program: PlanProgram, options: PrintPlanOptions = {}): string {
  const symbols = options.symbols ?? exampleSymbols(plan, program);
  const costs = costOf(plan, program, symbols);
  const lines = [
    `program ${program.name}: ${program.steps.length} steps;${formatAt(symbols)} ${formatCost(totalCost(costs))}`,
  ];
  const step = (index: number, indent: string) => {
    const one = program.steps[index]!;
    const kernel = plan.kernels[one.kernel]!;
    lines.push(`${indent}${index}: ${kernel.name} [kernel ${one.kernel}]  ${formatCost(costs[index]!)}`);
    if (one.origins.length > 0) lines.push(`${indent}    from ${shared(one.origins)}`);
  };
  const keys = program.steps.map((one) => String(one.kernel));
  const runs =
    options.unfolded === true ? keys.map((_, start) => ({ start, length: 1, times: 1 })) : foldRuns(keys);
  for (const run of runs) {
    if (run.times > 1) lines.push(`  x${run.times}, ${run.length} steps each:`);
    for (let i = 0; i < run.length; i++) step(run.start + i, run.times > 1 ? "    " : "  ");
  }
  return lines.join("\n");
}

export function printPlan(plan: Plan, options: PrintPlanOptions = {}): string {
  const symbols = plan.symbols.map((one) => {
    const sum = one.sum.map((index) => plan.symbols[index]!.name).join(" + ");
    return `${one.name} <= ${one.max}${sum === "" ? "" : ` = ${sum}`}`;
  });
  return [
    `plan ${oneLine(plan.name)} for ${plan.target}, version ${plan.version}, ${plan.hash.slice(0, 12)}`,
    `symbols: ${symbols.join(", ") || "none"}`,
    `kernels: ${plan.kernels.length}; buffers: ${plan.buffers.length}`,
    printArenas(plan),
    ...plan.programs.map((program) => `\n${printProgram(plan, program, options)}`),
  ].join("\n");
}

function printArenas(plan: Plan): string {
  const rows = Object.entries(plan.memory).map(([name, bytes]) => `${name} ${formatBytes(bytes as number)}`);
  return `memory: ${rows.join(", ")}`;
}

/** Each arena, and for each program the life of every activation buffer, step by step. */
export function printMemory(plan: Plan, programs: readonly ProgramMemory[]): string {
  const lines = [printArenas(plan)];
  for (const program of plan.programs) {
    const memory = programs.find((one) => one.program === program.name);
    if (memory !== undefined) {
      const percent = memory.lowerBound === 0 ? 100 : (100 * memory.bytes) / memory.lowerBound;
      lines.push(
        `\nprogram ${program.name}: ${formatBytes(memory.bytes)} of activations, lower bound ${formatBytes(memory.lowerBound)} (${percent.toFixed(1)} %), ${memory.inPlace.length} written in place`,
      );
    }
    const sources = new Map(memory?.inPlace.map(({ from, to }) => [to, from]));
    const lives = [...lifetimesOf(plan, program).values()].sort(
      (a, b) => a.first - b.first || a.buffer - b.buffer,
    );
    for (const life of lives) {
      const buffer = plan.buffers[life.buffer]!;
      const from = sources.get(life.buffer);
      const source = from === undefined ? "" : ` over ${oneLine(plan.buffers[from]!.name)}`;
      lines.push(
        `  ${buffer.offset}..${buffer.offset + buffer.bytes}  steps ${life.first}..${life.last}  ${buffer.dtype}[${buffer.shape.join(", ")}] ${oneLine(buffer.name)}${source}`,
      );
    }
  }
  return lines.join("\n");
}
