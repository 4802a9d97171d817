/** What the process takes in each phase of a run, beside what the plan says it takes. */
import { renameSync, writeFileSync } from "node:fs";
import type { MemoryTable } from "../trainable.ts";

/** The first time each phase was reached; later ones of the same name only raise its peak. */
export class MemoryPhases {
  readonly #phases = new Map<string, { residentBytes: number; times: number }>();

  record(phase: string): number {
    const residentBytes = process.memoryUsage.rss();
    const kept = this.#phases.get(phase) ?? { residentBytes: 0, times: 0 };
    this.#phases.set(phase, {
      residentBytes: Math.max(kept.residentBytes, residentBytes),
      times: kept.times + 1,
    });
    return residentBytes;
  }

  /** Bytes; each phase's most. */
  write(file: string, planned: MemoryTable): void {
    const phases = [...this.#phases].map(([phase, one]) => ({ phase, ...one }));
    writeFileSync(`${file}.tmp`, `${JSON.stringify({ planned, phases }, undefined, 2)}\n`);
    renameSync(`${file}.tmp`, file);
  }
}
