/**
 * planMemory: activation buffers get offsets in one arena from the steps in which they live. Two buffers share bytes
 * only when their lives do not meet, or when a kernel writes a value over one that it reads for the last time at
 * exactly the same places.
 */
import { alignment, largestSum } from "./arena.ts";
import { writesInPlace } from "./in-place.ts";
import type { Plan, PlanBuffer, PlanMemory, PlanProgram } from "./types.ts";

export interface Lifetime {
  readonly buffer: number;
  /** The first step that writes it and the last that touches it. */
  readonly first: number;
  last: number;
}

/** When each activation buffer of a program is alive. */
export function lifetimesOf(plan: Plan, program: PlanProgram): Map<number, Lifetime> {
  const lifetimes = new Map<number, Lifetime>();
  program.steps.forEach((step, index) => {
    for (const buffer of step.bindings) {
      if (plan.buffers[buffer]!.class !== "activations") continue;
      const life = lifetimes.get(buffer);
      if (life === undefined) lifetimes.set(buffer, { buffer, first: index, last: index });
      else life.last = index;
    }
  });
  return lifetimes;
}

/** A buffer that takes over the bytes of another one in the step that reads it last. */
export interface InPlace {
  readonly step: number;
  readonly from: number;
  readonly to: number;
}

/** Buffers that live in the same bytes one after the other. */
interface Block {
  readonly buffers: number[];
  readonly bytes: number;
  readonly first: number;
  last: number;
}

export interface ProgramMemory {
  readonly program: string;
  readonly bytes: number;
  /** The most bytes alive in any one step: no arrangement needs less. */
  readonly lowerBound: number;
  readonly inPlace: readonly InPlace[];
}

/** Writes offsets into the plan's buffers and gives what each program needs. */
export function planMemory(plan: Plan): { memory: PlanMemory; programs: ProgramMemory[] } {
  const programs = plan.programs.map((program) => planProgram(plan, program));
  const arena = (kind: PlanBuffer["class"]) =>
    placeOneByOne(plan.buffers.filter((one) => one.class === kind));
  const memory: PlanMemory = {
    weights: plan.buffers.reduce((sum, one) => sum + (one.class === "weights" ? one.bytes : 0), 0),
    state: arena("state"),
    activations: Math.max(0, ...programs.map((one) => one.bytes)),
    input: arena("input"),
    output: arena("output"),
  };
  return { memory, programs };
}

function placeOneByOne(buffers: readonly PlanBuffer[]): number {
  let end = 0;
  for (const buffer of buffers) {
    buffer.offset = end;
    end = alignment(end + buffer.bytes);
  }
  return end;
}

function planProgram(plan: Plan, program: PlanProgram): ProgramMemory {
  const lifetimes = lifetimesOf(plan, program);
  const blocks = new Map<number, Block>();
  const inPlace: InPlace[] = [];
  for (const life of [...lifetimes.values()].sort((a, b) => a.first - b.first)) {
    const source = takeOver(plan, program, lifetimes, blocks, life);
    if (source === undefined) {
      const bytes = alignment(plan.buffers[life.buffer]!.bytes);
      blocks.set(life.buffer, { buffers: [life.buffer], bytes, first: life.first, last: life.last });
    } else {
      const block = blocks.get(source)!;
      block.buffers.push(life.buffer);
      block.last = life.last;
      blocks.set(life.buffer, block);
      inPlace.push({ step: life.first, from: source, to: life.buffer });
    }
  }
  const distinct = [...new Set(blocks.values())];
  const bytes = placeBlocks(plan, distinct);
  return { program: program.name, bytes, lowerBound: largestSum(distinct, program.steps.length), inPlace };
}

/** The buffer whose bytes a new one may take over, if its first step reads one for the last time in place. */
function takeOver(
  plan: Plan,
  program: PlanProgram,
  lifetimes: ReadonlyMap<number, Lifetime>,
  blocks: ReadonlyMap<number, Block>,
  life: Lifetime,
): number | undefined {
  const step = program.steps[life.first]!;
  const kernel = plan.kernels[step.kernel]!;
  for (const candidate of step.bindings) {
    const old = lifetimes.get(candidate);
    if (old === undefined || old.last !== life.first || old.first === life.first) continue;
    const block = blocks.get(candidate)!;
    if (block.last !== old.last || block.bytes < alignment(plan.buffers[life.buffer]!.bytes)) continue;
    // A step binds a buffer to one slot only, as verifyPlan makes sure.
    if (writesInPlace(kernel, step.bindings.indexOf(candidate), step.bindings.indexOf(life.buffer)))
      return candidate;
  }
  return undefined;
}

/** Largest first, each at the lowest offset that is free for as long as it lives. */
function placeBlocks(plan: Plan, blocks: readonly Block[]): number {
  const placed: { block: Block; offset: number }[] = [];
  let end = 0;
  const order = [...blocks].sort((a, b) => b.bytes - a.bytes || a.first - b.first);
  for (const block of order) {
    const neighbours = placed
      .filter((one) => one.block.first <= block.last && block.first <= one.block.last)
      .sort((a, b) => a.offset - b.offset);
    let offset = 0;
    for (const one of neighbours) {
      if (offset + block.bytes <= one.offset) break;
      offset = Math.max(offset, one.offset + one.block.bytes);
    }
    placed.push({ block, offset });
    end = Math.max(end, offset + block.bytes);
    for (const buffer of block.buffers) plan.buffers[buffer]!.offset = offset;
  }
  return end;
}
