/** The tables that the benchmark prints. */
import { disturbing } from "../machine/others.ts";
import { digits, median, percent, showSpread, spreadOf } from "../support/statistics.ts";
import { table } from "../support/table.ts";
import { rivals } from "./candidate.ts";
import type { MemorySample, Sample } from "./measure.ts";
import { bandwidthShare, type Measured, ratioToRivals, targetsOf, verdict } from "./targets.ts";

export function showThroughput(samples: readonly Sample[]): string {
  const names = [...new Set(samples.map((one) => one.candidate))];
  const rows = names.map((name) => {
    const of = (prompt: number) => samples.filter((one) => one.candidate === name && one.prompt === prompt);
    const prefill = (prompt: number) =>
      showSpread(spreadOf(of(prompt).map((one) => one.prefillTokensPerSecond)));
    const decode = (prompt: number) =>
      showSpread(spreadOf(of(prompt).flatMap((one) => one.decodeTokensPerSecond ?? [])));
    return [name, prefill(128), prefill(512), decode(128), decode(1024)];
  });
  return table([
    ["tokens/s: median (min..max)", "prefill 128", "prefill 512", "decode at 128", "decode at 1024"],
    ...rows,
    ...ratioRows(samples, names),
  ]);
}

function ratioRows(samples: readonly Sample[], names: readonly string[]): string[][] {
  const keys = ["prefillTokensPerSecond", "decodeTokensPerSecond"] as const;
  const columns = [
    [128, keys[0]],
    [512, keys[0]],
    [128, keys[1]],
    [1024, keys[1]],
  ] as const;
  return names
    .map((name) => ({ name, present: (rivals[name] ?? []).filter((rival) => names.includes(rival)) }))
    .filter(({ present }) => present.length > 0)
    .map(({ name, present }) => [
      present.length === 1 ? `${name} / peer` : `${name} / the better peer`,
      ...columns.map(([prompt, key]) => `${digits(ratioToRivals(samples, name, prompt, key))}x`),
    ]);
}

export function showBandwidth(samples: readonly Sample[]): string {
  const names = [...new Set(samples.map((one) => one.candidate))];
  const rows = names.flatMap((name) =>
    [128, 1024].map((prompt) => {
      const of = samples.filter((one) => one.candidate === name && one.prompt === prompt);
      const used = of.map((one) => (one.bytesPerToken * (one.decodeTokensPerSecond ?? Number.NaN)) / 1e9);
      return [
        `${name} at ${prompt}`,
        `${digits(median(of.map((one) => one.bytesPerToken)) / 1e6)} MB`,
        showSpread(spreadOf(used)),
        showSpread(spreadOf(of.map((one) => one.bandwidth / 1e9))),
        percent(median(of.map(bandwidthShare))),
        digits(Math.max(...of.map((one) => one.others ?? 0))),
      ];
    }),
  );
  return table([
    ["decode", "bytes per token", "GB/s moved", "GB/s the machine reads", "share", "others' cores"],
    ...rows,
  ]);
}

export function showMemory(memory: readonly MemorySample[]): string {
  const megabytes = (bytes: number | undefined) => (bytes === undefined ? "-" : digits(bytes / 1e6));
  return table([
    ["memory, MB", "peak resident", "weights + arenas, predicted", "measured", "the rest"],
    ...memory.map(({ candidate, peak, predicted, measured }) => [
      candidate,
      megabytes(peak),
      megabytes(predicted),
      megabytes(measured),
      megabytes(predicted === undefined ? undefined : peak - predicted),
    ]),
  ]);
}

export function showStarts(starts: Measured["starts"]): string {
  const names = [...new Set(starts.map((one) => one.name))];
  return table([
    ["process start to first token, s", "median (min..max)"],
    ...names.map((name) => [
      name,
      showSpread(spreadOf(starts.filter((one) => one.name === name).map((one) => one.seconds))),
    ]),
  ]);
}

export function showTargets(measured: Measured): string {
  return table([
    ["target", "", "wanted", "measured", ""],
    ...targetsOf(measured).map((target) => [
      target.candidate,
      target.question,
      `${target.better === "more" ? "at least" : "at most"} ${Number(target.wanted.toFixed(2))} ${target.unit}`,
      target.measured === undefined ? "-" : digits(target.measured),
      verdict(target),
    ]),
  ]);
}

export function showQuantizing(quantizing: Measured["quantizing"]): string {
  const rate = (one: (typeof quantizing)[number]) => one.inputBytes / one.processorSeconds / 1e6;
  return table([
    ["weft quantize", "median (min..max)"],
    ["MB of input per processor second", showSpread(spreadOf(quantizing.map(rate)))],
    ["processor seconds", showSpread(spreadOf(quantizing.map((one) => one.processorSeconds)))],
    ["seconds", showSpread(spreadOf(quantizing.map((one) => one.seconds)))],
  ]);
}

/** A word about other programs, where they took part in the figures. */
export function showDisturbance(samples: readonly Sample[]): string | undefined {
  const disturbed = samples.filter((one) => (one.others ?? 0) > disturbing);
  if (disturbed.length === 0) return undefined;
  return (
    `${disturbed.length} of ${samples.length} samples were taken while other programs kept more than ` +
    `${disturbing} processors busy: only ratios mean something; --patience SECONDS waits for a quiet machine.`
  );
}
