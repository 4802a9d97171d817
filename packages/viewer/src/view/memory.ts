/** Buffers, when each is alive, and how much of the arena that fills step by step. */
import { coverageOf, lifetimesOf, type Plan, type PlanProgram, type ProgramMemory } from "@weft/compiler";
import { type PackedRows, packRows, type Row } from "../format/rows.ts";
import type { TextTable } from "../format/texts.ts";
import { fixedColumns, type ProgramMemoryView } from "../format/types.ts";

export function bufferRows(plan: Plan, texts: TextTable): PackedRows {
  const rows = plan.buffers.map(({ name, class: kind, dtype, bytes, offset, shape }): Row => {
    const written = texts.add(name);
    return [
      written[0],
      texts.addWhole(kind),
      texts.addWhole(dtype),
      written[1],
      bytes,
      // Weights are mapped one by one, so they have no place in an arena.
      kind === "weights" ? -1 : offset,
      ...shape,
    ];
  });
  return packRows(rows, fixedColumns.buffer);
}

const alignment = 256;

/** Of any number of values: a call has fewer arguments than a large plan has buffers. */
const largest = (values: readonly number[]) => values.reduce((most, one) => Math.max(most, one), 0);

/** @param planned what the planner said of this program; a plan that was read from a file has lost it. */
export function memoryOf(
  plan: Plan,
  program: PlanProgram,
  planned: ProgramMemory | undefined,
): ProgramMemoryView {
  const lives = [...lifetimesOf(plan, program).values()].sort(
    (a, b) => a.first - b.first || a.buffer - b.buffer,
  );
  const over = new Map(planned?.inPlace.map(({ from, to }) => [to, from]));
  const rows = lives.map(({ buffer, first, last }): Row => [buffer, first, last, over.get(buffer) ?? -1]);
  const covered = coverageOf(plan, program);
  const ends = lives.map(({ buffer: at }) => plan.buffers[at]!.offset + plan.buffers[at]!.bytes);
  return {
    // Arenas end at a multiple of what their buffers begin at.
    bytes: planned?.bytes ?? alignment * Math.ceil(largest(ends) / alignment),
    lowerBound: planned?.lowerBound ?? largest(covered),
    lives: packRows(rows, fixedColumns.life),
    alive: covered,
  };
}
