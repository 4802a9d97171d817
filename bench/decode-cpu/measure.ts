/** Runs the candidates in turns: A B C A B C, each phase between two measurements of the machine's bandwidth. */
import { measureReadBandwidth } from "@weft/runtime-cpu";
import { disturbing, waitForQuiet, watchOthers } from "../machine/others.ts";
import { type GgufType, ggufBytes } from "../model/gguf.ts";
import { shapes, tensorsOf } from "../model/shapes.ts";
import { DisposableList } from "../support/disposable-list.ts";
import { Candidate, type CandidateDescription } from "./candidate.ts";

/** A prompt of so many tokens, then so many tokens of text. */
export interface Phase {
  readonly prompt: number;
  readonly count: number;
}

export const phases: readonly Phase[] = [
  { prompt: 128, count: 25 },
  { prompt: 512, count: 1 },
  { prompt: 1024, count: 17 },
];

export const capacity = 2048;
export const chunk = 512;

export interface Sample {
  readonly candidate: string;
  readonly round: number;
  readonly prompt: number;
  readonly prefillTokensPerSecond: number;
  /** By the median time from token to token; undefined where no second token was made. */
  readonly decodeTokensPerSecond: number | undefined;
  readonly bytesPerToken: number;
  /** Bytes per second that the machine reads, mean of before and after. */
  readonly bandwidth: number;
  /** Processors that other programs kept busy meanwhile. */
  readonly others: number | undefined;
  readonly firstToken: number;
}

export interface MemorySample {
  readonly candidate: string;
  readonly peak: number;
  readonly predicted: number | undefined;
  readonly measured: number | undefined;
}

export interface MeasureOptions {
  /** As many as the candidates use: the machine's bandwidth is read by so many. */
  readonly threads: number;
  readonly rounds: number;
  /** Seconds to wait for a quiet machine before each sample; a disturbed sample is repeated as often as this is not used up. */
  readonly patience: number;
  readonly say: (text: string) => void;
}

export async function measureThroughput(
  descriptions: readonly CandidateDescription[],
  { threads, rounds, patience, say }: MeasureOptions,
): Promise<{ samples: Sample[]; memory: MemorySample[] }> {
  using candidates = new DisposableList(descriptions.map((one) => new Candidate(one)));
  const samples: Sample[] = [];
  for (const candidate of candidates.all) {
    say(`loading ${candidate.name}`);
    await candidate.load(capacity, chunk);
    // Brings the weights into the page cache and the code through the just-in-time compiler.
    await candidate.generate(promptOf(16), 4);
  }
  for (let round = 0; round < rounds; round++) {
    for (const phase of phases) {
      for (const candidate of candidates.all) {
        say(`round ${round + 1} of ${rounds}: ${candidate.name}, prompt of ${phase.prompt}`);
        samples.push(await calmest(() => sampleOf(candidate, phase, round, threads), patience));
      }
    }
  }
  const memory: MemorySample[] = [];
  for (const candidate of candidates.all) {
    const { peak, predicted, measured } = await candidate.memory();
    memory.push({ candidate: candidate.name, peak, predicted, measured });
  }
  return { samples, memory };
}

async function sampleOf(candidate: Candidate, phase: Phase, round: number, threads: number): Promise<Sample> {
  const before = await measureReadBandwidth(threads);
  const { value, others } = await watchOthers(
    () => candidate.generate(promptOf(phase.prompt), phase.count),
    (generated) => generated.processorSeconds,
  );
  const after = await measureReadBandwidth(threads);
  const gaps = value.gapSeconds.toSorted((a, b) => a - b);
  const past = Math.round(phase.prompt + phase.count / 2);
  return {
    candidate: candidate.name,
    round,
    prompt: phase.prompt,
    prefillTokensPerSecond: phase.prompt / value.firstSeconds,
    decodeTokensPerSecond: gaps.length === 0 ? undefined : 1 / gaps[gaps.length >> 1]!,
    bytesPerToken:
      candidate.gguf === undefined ? await candidate.bytesPerToken(past) : peerBytes(candidate.gguf, past),
    bandwidth: (before + after) / 2,
    others,
    firstToken: value.tokens[0]!,
  };
}

/** Repeats a disturbed measurement while patience lasts, and gives the least disturbed one. */
export async function calmest<A extends { readonly others: number | undefined }>(
  measure: () => Promise<A>,
  patience: number,
): Promise<A> {
  const end = performance.now() + patience * 1000;
  let best: A | undefined;
  do {
    await waitForQuiet((end - performance.now()) / 1000);
    const one = await measure();
    if (best === undefined || (one.others ?? 0) < (best.others ?? 0)) best = one;
  } while ((best.others ?? 0) > disturbing && performance.now() < end);
  return best;
}

/** The same tokens for every candidate: a linear congruential generator, far from the special tokens. */
export function promptOf(count: number): number[] {
  let state = 12345;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % 151000;
  });
}

/** The peer reads all weights once, of the embedding one row more, and a cache of keys and values in F16. */
function peerBytes(type: GgufType, past: number): number {
  const shape = shapes["qwen3-0.6b"];
  const tensors = tensorsOf(shape);
  const weights = tensors.reduce((sum, tensor) => sum + ggufBytes(tensor, type), 0);
  const row = ggufBytes(tensors[0]!, type) / shape.vocab;
  return weights + row + 2 * shape.layers * shape.kvHeads * shape.headDim * 2 * (past + 1);
}
