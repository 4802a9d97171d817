/** Differences as text: totals first, then what they are made of. */
import { formatBytes, formatCount } from "../print/amounts.ts";
import { withLayers } from "./layers.ts";
import type {
  BlockChange,
  Figures,
  Folded,
  GraphDifference,
  KernelChange,
  NamedChange,
  PlanDifference,
  ProgramDifference,
  SignedLine,
} from "./types.ts";

export interface PrintDifferenceOptions {
  /** Lines of each kernel or block that are printed. Default 8; how many more there are is said. */
  readonly lines?: number | undefined;
}

const usualLines = 8;
/** A longer line is cut: it has a table of constants in it, or a kernel of many buffers. */
const longestLine = 160;
/** Paths of blocks that are named of each kernel. */
const mostPaths = 3;

export function printPlanDifference(
  difference: PlanDifference,
  { lines = usualLines }: PrintDifferenceOptions = {},
): string {
  if (difference.same) return "no difference";
  const { memory, kernels, peakBytes, symbols, buffers, programs } = difference;
  const out = [
    ...table([
      amounts("kernels", kernels, String),
      ...Object.entries(memory).map(([name, one]) => amounts(name, one, formatBytes)),
      amounts("activations in use at the peak", peakBytes, formatBytes),
    ]),
    ...[...symbols, ...buffers].map(formatNamed),
  ];
  for (const one of programs) out.push("", ...programLines(one, lines));
  return out.join("\n");
}

const onlyIn = { added: "only in B", gone: "only in A" } as const;

function programLines(program: ProgramDifference, most: number): string[] {
  const { name, state, at, changes, sameSteps, ports } = program;
  const values = Object.entries(at).map(([symbol, value]) => `${symbol}=${value}`);
  const head = `program ${name}${values.length === 0 ? "" : ` at ${values.join(", ")}`}`;
  if (state === "same") return [`${head}: no difference`];
  const isPaired = state === "changed";
  const count = (kind: KernelChange["state"]) =>
    changes.filter((one) => one.state === kind).reduce((sum, one) => sum + one.times, 0);
  return [
    isPaired ? head : `${head}: ${onlyIn[state]}`,
    ...table([
      amounts("steps", program.steps, String),
      amounts("kernels", program.kernels, String),
      amounts("read", program.readBytes, formatBytes),
      amounts("written", program.writtenBytes, formatBytes),
      amounts("operations", program.operations, (one) => formatCount(one, "flop")),
      amounts("arena", program.arenaBytes, formatBytes),
    ]),
    ...ports.map(formatNamed),
    `  steps: ${count("changed")} changed, ${count("gone")} gone, ${count("added")} added, ${sameSteps} the same`,
    ...(isPaired ? changes.flatMap((one) => kernelLines(one, most)) : []),
  ];
}

const signs = { changed: "~", gone: "-", added: "+" } as const;

function kernelLines(change: KernelChange, most: number): string[] {
  const { state, kind, kernel, readBytes, writtenBytes, operations, lines } = change;
  const names = [...new Set([kernel.before, kernel.after].filter((name) => name !== undefined))].join(" -> ");
  const bytes = {
    before: readBytes.before + writtenBytes.before,
    after: readBytes.after + writtenBytes.after,
  };
  const all = change.times === 1 ? "moved" : "moved in all";
  const side = state === "gone" ? "before" : "after";
  const moved =
    state === "changed"
      ? `${between(bytes, formatBytes)} ${all}${operations.before === operations.after ? "" : `, ${between(operations, (one) => formatCount(one, "flop"))}`}`
      : `${formatBytes(bytes[side])} ${all}, ${formatCount(operations[side], "flop")}`;
  return [
    `  ${signs[state]} ${times(change)}${names} (${kind}): ${moved}`,
    ...(change.origins.length === 0 ? [] : [`      of ${shared(change)}`]),
    ...cut(lines, most),
  ];
}

/** The blocks that changed alike, with the numbers of their layers. */
function shared({ origins, layers }: KernelChange): string {
  const paths = origins.slice(0, mostPaths).map((path) => withLayers(path, layers));
  return `${paths.join(", ")}${origins.length > mostPaths ? `, ... (${origins.length})` : ""}`;
}

export function printGraphDifference(
  difference: GraphDifference,
  { lines = usualLines }: PrintDifferenceOptions = {},
): string {
  if (difference.same) return "no difference";
  const { nodes, added, gone, changed, ports, blocks } = difference;
  return [
    `  nodes: ${between(nodes, String)}; ${changed} changed, ${gone} gone, ${added} added`,
    ...ports.map(formatNamed),
    ...blocks.flatMap((one) => blockLines(one, lines)),
  ].join("\n");
}

function blockLines(block: BlockChange, most: number): string[] {
  const path = block.path === "" ? "(outside of all blocks)" : withLayers(block.path, block.layers);
  return [`  ${times(block)}${path}`, ...cut(block.lines, most)];
}

function cut(lines: readonly SignedLine[], most: number): string[] {
  const shown = lines.slice(0, most).map(({ sign, line }) => `      ${sign} ${shortened(line)}`);
  const more = lines.length - most;
  return more > 0 ? [...shown, `      ... and ${more} more line${more === 1 ? "" : "s"}`] : shown;
}

const shortened = (line: string) => (line.length > longestLine ? `${line.slice(0, longestLine)}...` : line);

const times = ({ times: count }: Folded) => (count === 1 ? "" : `x${count} `);

function formatNamed(change: NamedChange): string {
  const { kind, before, after, layers } = change;
  const sign = before === undefined ? "+" : after === undefined ? "-" : "~";
  const what = before === undefined || after === undefined ? (before ?? after) : `${before} -> ${after}`;
  return `  ${sign} ${times(change)}${kind} ${withLayers(change.name, layers)}: ${what}`;
}

type Format = (amount: number) => string;

/** `12 B -> 6 B (-50.0 %)`; once where both are the same. */
function between({ before, after }: Figures, format: Format): string {
  if (before === after) return format(after);
  const percent = percentOf({ before, after });
  return `${format(before)} -> ${format(after)}${percent === "" ? "" : ` (${percent})`}`;
}

/** A row of a table: name, before, after, difference, percent. */
function amounts(name: string, { before, after }: Figures, format: Format): readonly string[] {
  const change = after - before;
  const signed = change === 0 ? "" : `${change < 0 ? "-" : "+"}${format(Math.abs(change))}`;
  return [name, format(before), format(after), signed, percentOf({ before, after })];
}

function percentOf({ before, after }: Figures): string {
  if (before === after || before === 0) return "";
  const percent = (100 * (after - before)) / before;
  return `${percent > 0 ? "+" : ""}${percent.toFixed(Math.abs(percent) < 0.05 ? 2 : 1)} %`;
}

function table(rows: readonly (readonly string[])[]): string[] {
  const titled = [["", "A", "B", "difference", ""], ...rows];
  const widths = titled[0]!.map((_, column) => Math.max(...titled.map((row) => row[column]!.length)));
  return titled.map((row) =>
    `  ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join("  ")}`.trimEnd(),
  );
}
