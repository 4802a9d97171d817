/** `weft summary`: what is in a block. */
import { formatBytes, formatCount } from "@weft/compiler";
import { summary as blockSummary, formatType, type Graph, oneLine, type SummaryParameter } from "@weft/dsl";
import { openCheckpoint } from "@weft/qwen3";
import type { SummaryOptions } from "../commands/summary.ts";
import type { ModelTarget } from "../target/model-target.ts";
import { openTarget, type Target } from "../target/target.ts";
import { print, printJson } from "../terminal/output.ts";
import { formatTable } from "../terminal/table.ts";

interface Row {
  readonly path: string;
  readonly operation: string;
  readonly input: string;
  readonly output: string;
  readonly parameters: readonly SummaryParameter[];
  readonly repeated: number;
  /** Elements of the parameters that no earlier row counts. */
  readonly count: number;
  readonly bytes: number;
}

export async function summary(path: string, options: SummaryOptions): Promise<void> {
  const target = await openTarget(path, options.export);
  const rows = target.kind === "graph" ? graphRows(target.graph) : blockRows(target, options.fold);
  const count = rows.reduce((sum, row) => sum + row.count, 0);
  const bytes = rows.reduce((sum, row) => sum + row.bytes, 0);
  if (options.json === true) {
    await printJson({ target: path, rows: rows.map(plainRow), parameters: count, bytes });
    return;
  }
  const table = formatTable(
    [
      { title: "path" },
      { title: "block" },
      { title: "input" },
      { title: "output" },
      { title: "parameters", align: "right" },
      { title: "bytes", align: "right" },
    ],
    rows.map((row) => [
      row.path === "" ? "-" : oneLine(row.path),
      oneLine(row.operation),
      row.input,
      row.output,
      row.parameters.length === 0 ? "" : row.count === 0 ? "shared" : formatCount(row.count),
      row.bytes === 0 ? "" : formatBytes(row.bytes),
    ]),
  );
  await print(`${table}\n\n${formatCount(count)} parameters, ${formatBytes(bytes)}`);
}

function plainRow(row: Row): object {
  return {
    ...row,
    parameters: row.parameters.map(({ name, shape, shared }) => ({ name, shape, shared })),
  };
}

function blockRows(target: Exclude<Target, { kind: "graph" }>, fold: boolean): readonly Row[] {
  const bytesPer = target.kind === "model" ? storedBytes(target) : () => 4;
  return blockSummary(target.block, { fold }).map((row) => {
    const own = row.parameters.filter((one) => !one.shared);
    const elements = own.reduce((sum, one) => sum + product(one.shape), 0);
    // A row of folded layers stands for all of them, and a tied parameter counts once.
    const times = elements === 0 ? 0 : row.count / elements;
    const bytes = own.reduce((sum, one) => sum + times * product(one.shape) * bytesPer(one.name), 0);
    return {
      path: row.path,
      operation: row.label,
      input: row.input,
      output: row.output,
      parameters: row.parameters,
      repeated: row.repeated,
      count: row.count,
      bytes,
    };
  });
}

const product = (sizes: readonly number[]) => sizes.reduce((a, b) => a * b, 1);

/** Bytes of one element as the checkpoint stores it; as config.json says where there is no checkpoint yet. */
function storedBytes(target: ModelTarget): (name: string) => number {
  const byConfig = target.config.dtype === undefined || target.config.dtype === "f32" ? 4 : 2;
  const checkpoint = target.directory === undefined ? undefined : openCheckpoint(target.directory);
  if (checkpoint === undefined || checkpoint._tag === "Left") return () => byConfig;
  const { tensors } = checkpoint.right;
  return (name) => {
    // Of folded layers the first speaks for all.
    const entry = tensors.get(name.replace(/\[(\d+)\.\.\d+\]/g, ".$1")) ?? tensors.get(name);
    return entry === undefined ? byConfig : (entry.end - entry.begin) / product(entry.shape);
  };
}

function graphRows(graph: Graph): readonly Row[] {
  return graph.nodes.map((node) => {
    const isParameter = node.op === "parameter";
    const shape = node.type.axes.map(({ size }) => (typeof size === "number" ? size : size.max));
    const name = typeof node.attributes.name === "string" ? node.attributes.name : "";
    const count = isParameter ? product(shape) : 0;
    return {
      path: node.origin.path,
      operation: node.op,
      input: node.inputs.map((id) => formatType(graph.nodes[id]!.type)).join(", "),
      output: formatType(node.type),
      parameters: isParameter ? [{ name, axes: node.type.axes, shape, shared: false }] : [],
      repeated: 1,
      count,
      bytes: count * (node.type.dtype === "bf16" || node.type.dtype === "f16" ? 2 : 4),
    };
  });
}
