/** What is to be reached, and how far it is. Ratios compare medians of the same run. */
import { median } from "../support/statistics.ts";
import { names, rivals } from "./candidate.ts";
import type { MemorySample, Sample } from "./measure.ts";
import type { Quantizing } from "./quantize.ts";

export interface Target {
  readonly candidate: string;
  readonly question: string;
  readonly wanted: number;
  /** Undefined where it could not be measured: no peer. */
  readonly measured: number | undefined;
  readonly unit: string;
  readonly better: "more" | "less";
}

export interface Measured {
  readonly samples: readonly Sample[];
  readonly memory: readonly MemorySample[];
  readonly starts: readonly { readonly name: string; readonly seconds: number }[];
  readonly quantizing: readonly Quantizing[];
}

type Rate = "prefillTokensPerSecond" | "decodeTokensPerSecond";

/** Beside what the weights and arenas take: the program itself. */
const programBytes = 100e6;

export function targetsOf(measured: Measured): Target[] {
  const has = (candidate: string) => measured.samples.some((one) => one.candidate === candidate);
  return [
    ...(has(names.bf16) ? bf16Targets(measured) : []),
    ...(has(names.nvfp4) ? nvfp4Targets(measured) : []),
    ...(measured.quantizing.length > 0 ? [quantizingTarget(measured)] : []),
  ];
}

function bf16Targets(measured: Measured): Target[] {
  const candidate = names.bf16;
  const start = measured.starts.filter((one) => one.name === "weft generate").map((one) => one.seconds);
  return [
    ratioTarget(measured, candidate, "decode at context 128", 1.1, 128, "decodeTokensPerSecond"),
    shareTarget(measured, candidate, 85),
    ratioTarget(measured, candidate, "decode at context 1024", 1.4, 1024, "decodeTokensPerSecond"),
    ratioTarget(measured, candidate, "prefill of 512", 2.4, 512, "prefillTokensPerSecond"),
    memoryTarget(measured, candidate),
    {
      candidate: "weft generate",
      question: "start to first token",
      wanted: 1.5,
      measured: finite(median(start)),
      unit: "s",
      better: "less",
    },
  ];
}

function nvfp4Targets(measured: Measured): Target[] {
  const candidate = names.nvfp4;
  return [
    ratioTarget(measured, candidate, "decode at context 128", 1.4, 128, "decodeTokensPerSecond"),
    shareTarget(measured, candidate, 75),
    ratioTarget(measured, candidate, "prefill of 512", 1.2, 512, "prefillTokensPerSecond"),
    memoryTarget(measured, candidate),
  ];
}

const quantizingTarget = ({ quantizing }: Measured): Target => ({
  candidate: "weft quantize",
  question: "input per processor second",
  wanted: 200,
  measured: finite(median(quantizing.map((one) => one.inputBytes / one.processorSeconds / 1e6))),
  unit: "MB",
  better: "more",
});

function ratioTarget(
  { samples }: Measured,
  candidate: string,
  question: string,
  wanted: number,
  prompt: number,
  key: Rate,
): Target {
  const unit = rivals[candidate]!.length > 1 ? "x the better peer" : "x the peer";
  const measured = finite(ratioToRivals(samples, candidate, prompt, key));
  return { candidate, question, wanted, measured, unit, better: "more" };
}

const shareTarget = ({ samples }: Measured, candidate: string, wanted: number): Target => ({
  candidate,
  question: "decode at context 128, of the bandwidth",
  wanted,
  measured: finite(
    100 *
      median(samples.filter((one) => one.candidate === candidate && one.prompt === 128).map(bandwidthShare)),
  ),
  unit: "%",
  better: "more",
});

function memoryTarget({ memory }: Measured, candidate: string): Target {
  const own = memory.find((one) => one.candidate === candidate);
  return {
    candidate,
    question: "peak memory",
    wanted: ((own?.predicted ?? Number.NaN) + programBytes) / 1e6,
    measured: own && own.peak / 1e6,
    unit: "MB",
    better: "less",
  };
}

/** Median rate over that of the best of its rivals that took part; NaN where none did, or not all of several. */
export function ratioToRivals(
  samples: readonly Sample[],
  candidate: string,
  prompt: number,
  key: Rate,
): number {
  const rate = (name: string) =>
    median(
      samples.flatMap((one) => (one.candidate === name && one.prompt === prompt ? (one[key] ?? []) : [])),
    );
  return rate(candidate) / Math.max(...rivals[candidate]!.map(rate));
}

/** Of what memory could deliver, the part that decoding used. */
export const bandwidthShare = (one: Sample): number =>
  (one.bytesPerToken * (one.decodeTokensPerSecond ?? Number.NaN)) / one.bandwidth;

/** `reached`, or by how much it is short. */
export function verdict({ wanted, measured, better, unit }: Target): string {
  if (measured === undefined) return "not measured";
  const short = better === "more" ? wanted - measured : measured - wanted;
  return short <= 0 ? "reached" : `short by ${Number(short.toPrecision(2))} ${unit}`;
}

const finite = (value: number): number | undefined => (Number.isFinite(value) ? value : undefined);
