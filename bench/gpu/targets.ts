/** What ours should reach on a large GPU (stated for one of 3 TB/s), and whether it did. */
import type { Row } from "./rows.ts";
import { isCoded, type ModelName } from "./work.ts";

export interface Target {
  readonly question: string;
  readonly unit: "tok/s" | "x";
  readonly wanted: number;
  /** Undefined where it was not measured. */
  readonly measured: number | undefined;
}

const decodeTargets: readonly (readonly [ModelName, number])[] = [
  ["4b", 250],
  ["4b-nvfp4", 500],
  ["0.6b", 1000],
  ["8b", 160],
];
const prefillTarget = 45000;
const trainingTarget = 23000;
/** Beside the quickest variant of PyTorch in the same run. */
const peerRatio = 1.3;
const mainSize = 1024;

export function targetsOf(rows: readonly Row[]): Target[] {
  const of = (model: ModelName, kind: Row["kind"], isOurs: boolean) => {
    const found = rows.filter(
      (row) =>
        row.model === model && row.kind === kind && row.size === mainSize && (row.who === "weft") === isOurs,
    );
    return found.length === 0 ? undefined : Math.max(...found.map((row) => row.tokensPerSecond.median));
  };
  const ratio = (model: ModelName, kind: Row["kind"]): Target => {
    const [ours, theirs] = [of(model, kind, true), of(model, kind, false)];
    return {
      question: `${model} ${kind} ${mainSize} beside the best PyTorch`,
      unit: "x",
      wanted: peerRatio,
      measured: ours === undefined || theirs === undefined ? undefined : ours / theirs,
    };
  };
  return [
    ...decodeTargets.map(
      ([model, wanted]): Target => ({
        question: `${model} decode at ${mainSize}`,
        unit: "tok/s",
        wanted,
        measured: of(model, "decode", true),
      }),
    ),
    {
      question: `4b prefill of ${mainSize}`,
      unit: "tok/s",
      wanted: prefillTarget,
      measured: of("4b", "prefill", true),
    },
    {
      question: `4b training at ${mainSize}`,
      unit: "tok/s",
      wanted: trainingTarget,
      measured: of("4b", "train", true),
    },
    ...decodeTargets.filter(([model]) => !isCoded(model)).map(([model]) => ratio(model, "decode")),
    ratio("4b", "prefill"),
  ];
}

export function verdict({ measured, wanted }: Target): string {
  if (measured === undefined) return "not measured";
  if (measured >= wanted) return "reached";
  return `short by ${((1 - measured / wanted) * 100).toFixed(1)} %`;
}
