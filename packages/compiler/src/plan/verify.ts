/**
 * verifyPlan: the plan is checked as if somebody else had made it. Lifetimes are found again from the steps, and no two
 * values that are alive at once may share bytes, except where a kernel writes in place.
 */
import { internalProblem, type Problem } from "@weft/dsl";
import { alignment } from "./arena.ts";
import { writesInPlace } from "./in-place.ts";
import { type Lifetime, lifetimesOf } from "./memory.ts";
import type { Plan, PlanProgram } from "./types.ts";

export function verifyPlan(plan: Plan): Problem[] {
  const problems: Problem[] = [];
  const report = (requirement: string, given: string) =>
    void problems.push(internalProblem("verifyPlan", requirement, { given }));
  plan.programs.forEach((program) => {
    program.steps.forEach((step, index) => {
      const kernel = plan.kernels[step.kernel];
      const place = `${program.name} step ${index}`;
      if (kernel === undefined) {
        report("a step's kernel must exist", place);
        return;
      }
      if (kernel.slots.length !== step.bindings.length)
        report("every slot needs a buffer", `${place} ${kernel.name}`);
      for (const buffer of boundTwice(step.bindings)) {
        report(
          "a step must bind a buffer to one slot only",
          `${place} ${kernel.name}: ${plan.buffers[buffer]?.name ?? buffer} is bound to the slots ${kernel.slots
            .filter((_, at) => step.bindings[at] === buffer)
            .map((slot) => slot.name)
            .join(" and ")}`,
        );
      }
      kernel.slots.forEach((slot, at) => {
        const buffer = plan.buffers[step.bindings[at] ?? -1];
        if (buffer === undefined) report("a bound buffer must exist", `${place} ${kernel.name} ${slot.name}`);
        else if (buffer.dtype !== slot.dtype)
          report("a buffer must have its slot's dtype", `${place} ${buffer.name}`);
        else if (slot.access !== "read" && (buffer.class === "weights" || buffer.class === "input")) {
          report("weights and inputs must not be written", `${place} ${buffer.name}`);
        }
      });
    });
    if (problems.length === 0) checkReads(plan, program, report);
    if (problems.length === 0) checkOverlaps(plan, program, report);
  });
  for (const buffer of plan.buffers) {
    const arena = plan.memory[buffer.class];
    if (buffer.class !== "weights" && buffer.offset + buffer.bytes > arena) {
      report(
        "a buffer must lie inside its arena",
        `${buffer.name}: ${buffer.offset} + ${buffer.bytes} > ${arena}`,
      );
    }
    if (buffer.offset !== alignment(buffer.offset))
      report("offsets must be aligned", `${buffer.name}: ${buffer.offset}`);
  }
  return problems;
}

/** Buffers with several slots: what a slot's access says of its buffer would not be all that the step does to it. */
function boundTwice(bindings: readonly number[]): Set<number> {
  return new Set(bindings.filter((buffer, at) => bindings.indexOf(buffer) !== at));
}

type Report = (requirement: string, given: string) => void;

/** Activations and outputs are written before they are read. */
function checkReads(plan: Plan, program: PlanProgram, report: Report): void {
  const written = new Set<number>();
  program.steps.forEach((step, index) => {
    const kernel = plan.kernels[step.kernel]!;
    kernel.slots.forEach((slot, at) => {
      const buffer = step.bindings[at]!;
      const kind = plan.buffers[buffer]!.class;
      if (slot.access !== "write" && (kind === "activations" || kind === "output") && !written.has(buffer)) {
        report(
          "a value must be computed before it is read",
          `${program.name} step ${index} ${plan.buffers[buffer]!.name}`,
        );
      }
    });
    kernel.slots.forEach((slot, at) => {
      if (slot.access !== "read") written.add(step.bindings[at]!);
    });
  });
}

function checkOverlaps(plan: Plan, program: PlanProgram, report: Report): void {
  const lives = [...lifetimesOf(plan, program).values()].sort((a, b) => a.first - b.first);
  const active: Lifetime[] = [];
  for (const life of lives) {
    for (let i = active.length - 1; i >= 0; i--) if (active[i]!.last < life.first) active.splice(i, 1);
    for (const other of active) {
      if (overlap(plan, life.buffer, other.buffer) && !isInPlace(plan, program, other, life)) {
        const names = [other, life].map((one) => plan.buffers[one.buffer]!.name).join(" and ");
        report("two values that are alive at once must not share bytes", `${program.name}: ${names}`);
      }
    }
    active.push(life);
  }
}

function overlap(plan: Plan, a: number, b: number): boolean {
  const [x, y] = [plan.buffers[a]!, plan.buffers[b]!];
  return x.offset < y.offset + y.bytes && y.offset < x.offset + x.bytes;
}

function isInPlace(plan: Plan, program: PlanProgram, old: Lifetime, life: Lifetime): boolean {
  if (old.last !== life.first || old.first === life.first) return false;
  if (plan.buffers[old.buffer]!.offset !== plan.buffers[life.buffer]!.offset) return false;
  const step = program.steps[life.first]!;
  const kernel = plan.kernels[step.kernel]!;
  return writesInPlace(kernel, step.bindings.indexOf(old.buffer), step.bindings.indexOf(life.buffer));
}
