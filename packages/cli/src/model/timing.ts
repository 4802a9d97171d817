/** Where the time of a generation went, for people and for programs. */
import { formatBytes } from "@weft/compiler";
import type { GenerationTiming, Qwen3 } from "@weft/qwen3";

export interface Timing {
  readonly firstTokenMilliseconds: number;
  readonly prefillMilliseconds: number;
  readonly decodeMilliseconds: number;
  /** Null where there was nothing to measure. */
  readonly prefillTokensPerSecond: number | null;
  readonly decodeTokensPerSecond: number | null;
  /** Everything that the device holds: weights, cache, activations, scratch. */
  readonly memoryBytes: number;
}

export function timingOf(timing: GenerationTiming, model: Qwen3): Timing {
  const { firstTokenMilliseconds, prefillMilliseconds, decodeMilliseconds } = timing;
  return {
    firstTokenMilliseconds,
    prefillMilliseconds,
    decodeMilliseconds,
    prefillTokensPerSecond: timing.prefillTokensPerSecond ?? null,
    decodeTokensPerSecond: timing.decodeTokensPerSecond ?? null,
    memoryBytes: model.executable.memory().total,
  };
}

/** A line for a person. */
export function formatTiming(timing: Timing): string {
  const { prefillTokensPerSecond: prefill, decodeTokensPerSecond: decode } = timing;
  const parts = [
    prefill === null ? undefined : `prefill ${prefill.toFixed(1)} tokens/s`,
    decode === null ? undefined : `decode ${decode.toFixed(1)} tokens/s`,
    `first token after ${timing.firstTokenMilliseconds.toFixed(1)} ms`,
    `memory ${formatBytes(timing.memoryBytes)}`,
  ];
  return parts.filter((part) => part !== undefined).join(", ");
}
