/** `weft quantize`: a checkpoint in NVFP4, and what that has done to each linear. */
import { orThrow } from "@weft/dsl";
import { type LinearReport, type QuantizeReport, quantizeCheckpoint } from "@weft/qwen3";
import type { QuantizeFlags } from "../commands/quantize.ts";
import { interruption, stopsInOrder } from "../terminal/interrupt.ts";
import { print, printJson, remark } from "../terminal/output.ts";
import { Progress } from "../terminal/progress.ts";
import { refuse } from "../terminal/refuse.ts";
import { formatTable } from "../terminal/table.ts";

const megabyte = 1e6;

export async function quantize(model: string, flags: QuantizeFlags): Promise<void> {
  const { out, format, fourOverSix, exclude, head, embedding, plainHead, json } = flags;
  if (out === undefined) {
    refuse("quantize", "needs a directory for the quantised model", { remedy: "give --out DIR" });
  }
  using _ = stopsInOrder();
  const progress = new Progress();
  try {
    const report = orThrow(
      await quantizeCheckpoint({
        model,
        directory: out,
        format,
        fourOverSix,
        exclude,
        head,
        embedding,
        plainHead,
        signal: interruption,
        onProgress: (phase, done, total) =>
          progress.update(`${phase} (MB)`, Math.round(done / megabyte), Math.round(total / megabyte)),
      }),
    );
    progress.clear();
    for (const line of remarksOf(report)) remark(line);
    if (json) await printJson({ directory: out, ...report });
    else await print(`${tableOf(report.linears)}\n\n${summaryOf(report)}\nmodel: ${out}`);
  } finally {
    progress.clear();
  }
}

function tableOf(linears: readonly LinearReport[]): string {
  return formatTable(
    [
      { title: "weight" },
      { title: "shape" },
      { title: "amax", align: "right" },
      { title: "relative error", align: "right" },
      { title: "zero blocks", align: "right" },
    ],
    linears.map(({ name, shape, amax, relativeError, zeroBlocks }) => [
      name,
      `[${shape.join(", ")}]`,
      amax.toPrecision(4),
      relativeError === undefined ? "taken as it was" : relativeError.toFixed(4),
      `${(100 * zeroBlocks).toFixed(2)} %`,
    ]),
  );
}

function summaryOf({ linears, bytes }: QuantizeReport): string {
  const encoded = linears.filter(({ how }) => how === "encoded").length;
  const parts = [
    ...(encoded === 0 ? [] : [`${encoded} weights quantised`]),
    ...(encoded === linears.length ? [] : [`${linears.length - encoded} taken as they were`]),
  ];
  return `${parts.join(", ")}; ${(bytes / megabyte).toFixed(1)} MB`;
}

function remarksOf({ inexact, withoutActivations }: QuantizeReport): string[] {
  const some = (names: readonly string[]) =>
    `${names[0]}${names.length > 1 ? ` and ${names.length - 1} more` : ""}`;
  return [
    ...(inexact.length === 0
      ? []
      : [
          `the inverse of a scale is no f32: it is off by one rounding in ${some(inexact)}; converting back gives the original`,
        ]),
    ...(withoutActivations.length === 0
      ? []
      : [`scales of activations have no place here and are left out: ${some(withoutActivations)}`]),
  ];
}
