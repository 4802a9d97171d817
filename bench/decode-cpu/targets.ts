/** What is to be reached, and how far it is. Ratios compare medians of the same run. */
import { median } from "../support/statistics.ts";
import { peerName } from "./candidate.ts";
import type { MemorySample, Sample } from "./measure.ts";

export interface Target {
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
}

const ours = "ours bf16";

/** Beside what the weights and arenas take: the program itself. */
const programBytes = 100e6;

export function targetsOf({ samples, memory, starts }: Measured): Target[] {
  const rate = (candidate: string, prompt: number, key: "prefillTokensPerSecond" | "decodeTokensPerSecond") =>
    median(
      samples.flatMap((one) =>
        one.candidate === candidate && one.prompt === prompt ? [one[key] ?? []].flat() : [],
      ),
    );
  const ratio = (prompt: number, key: "prefillTokensPerSecond" | "decodeTokensPerSecond") =>
    finite(rate(ours, prompt, key) / rate(peerName, prompt, key));
  const shares = samples.filter((one) => one.candidate === ours && one.prompt === 128).map(bandwidthShare);
  const own = memory.find((one) => one.candidate === ours);
  const start = starts.filter((one) => one.name === "weft generate").map((one) => one.seconds);
  const times = { unit: "x the peer", better: "more" } as const;
  return [
    {
      question: "decode at context 128",
      wanted: 1.1,
      measured: ratio(128, "decodeTokensPerSecond"),
      ...times,
    },
    {
      question: "decode at context 128, of the bandwidth",
      wanted: 85,
      measured: finite(100 * median(shares)),
      unit: "%",
      better: "more",
    },
    {
      question: "decode at context 1024",
      wanted: 1.4,
      measured: ratio(1024, "decodeTokensPerSecond"),
      ...times,
    },
    { question: "prefill of 512", wanted: 2.4, measured: ratio(512, "prefillTokensPerSecond"), ...times },
    {
      question: "peak memory",
      wanted: ((own?.predicted ?? Number.NaN) + programBytes) / 1e6,
      measured: own && own.peak / 1e6,
      unit: "MB",
      better: "less",
    },
    {
      question: "start to first token",
      wanted: 1.5,
      measured: finite(median(start)),
      unit: "s",
      better: "less",
    },
  ];
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
