/** Peak rates that steps are held against. */
import { describeCpu, measureMultiplyAddRate, measureReadBandwidth } from "@weft/runtime-cpu";
import type { RooflineView } from "@weft/viewer";

/** Rates that the user gives: GB/s and TFLOP/s. */
export interface GivenRates {
  readonly bandwidth?: number;
  readonly arithmetic?: number;
}

/** Peak rates where none are given: an H100 SXM's as its data sheet has them, and a desktop CPU's as a guess. */
const usual = {
  cuda: { bandwidth: 3350, arithmetic: 989, source: "peaks of an H100 SXM, dense bf16" },
  cpu: { bandwidth: 40, arithmetic: 0.5, source: "a guess: give --bandwidth and --arithmetic" },
} as const;

/** Without a look at the machine: it may be another one that the plan is for. */
export function usualRoofline(device: "cpu" | "cuda", given: GivenRates): RooflineView {
  return rooflineOf(given, usual[device]);
}

/**
 * Of this machine's CPU, what is not given is measured; of a GPU, its peaks are known.
 * @param threads of the CPU's device
 */
export async function measuredRoofline(
  device: "cpu" | "cuda",
  threads: number = describeCpu().physicalCores,
  given: GivenRates = {},
): Promise<RooflineView> {
  if (device === "cuda") return usualRoofline(device, given);
  const { bandwidth, arithmetic } = given;
  return rooflineOf(given, {
    bandwidth: bandwidth ?? (await measureReadBandwidth(threads)) / 1e9,
    arithmetic: arithmetic ?? (await measureMultiplyAddRate(threads)) / 1e12,
    source: "measured here: memory read, f32 multiply-adds",
  });
}

function rooflineOf(
  { bandwidth, arithmetic }: GivenRates,
  known: { readonly bandwidth: number; readonly arithmetic: number; readonly source: string },
): RooflineView {
  const isGiven = bandwidth !== undefined && arithmetic !== undefined;
  return {
    bytesPerSecond: (bandwidth ?? known.bandwidth) * 1e9,
    operationsPerSecond: (arithmetic ?? known.arithmetic) * 1e12,
    source: isGiven ? "as given" : known.source,
  };
}
