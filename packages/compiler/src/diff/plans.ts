/** What differs between two plans: kernels of each program, bytes and operations, memory, and what is bound by name. */
import { costOf, type StepCost, type SymbolValues, totalCost } from "../cost/cost.ts";
import { lifetimesOf } from "../plan/memory.ts";
import { arenaPeak } from "../plan/peak.ts";
import type { BufferClass, Plan, PlanPort, PlanProgram } from "../plan/types.ts";
import { exampleSymbols } from "../print/plan.ts";
import { differenceOfNames, type Named } from "./named.ts";
import { differenceOfSteps, type ProgramSide } from "./steps.ts";
import type { Figures, PlanDifference, ProgramDifference } from "./types.ts";

/**
 * The difference between two plans of this version. Programs are paired by their names, or are one program where both plans
 * have one only; steps by what they compute. Equal changes of several layers are one.
 */
export function differenceOfPlans(before: Plan, after: Plan): PlanDifference {
  const figures = (of: (plan: Plan) => number): Figures => ({ before: of(before), after: of(after) });
  const named = (of: (plan: Plan) => Named) => [of(before), of(after)] as const;
  const memory = {
    weights: figures((plan) => plan.memory.weights),
    state: figures((plan) => plan.memory.state),
    activations: figures((plan) => plan.memory.activations),
    input: figures((plan) => plan.memory.input),
    output: figures((plan) => plan.memory.output),
  };
  const kernels = figures((plan) => plan.kernels.length);
  const peakBytes = figures((plan) => arenaPeak(plan)?.bytes ?? 0);
  const symbols = differenceOfNames("symbol", ...named(symbolsOf));
  const buffers = [
    ...differenceOfNames("weight", ...named((plan) => buffersOf(plan, "weights"))),
    ...differenceOfNames("state", ...named((plan) => buffersOf(plan, "state"))),
  ];
  const programs = pairPrograms(before, after).map(([old, own]) =>
    differenceOfPrograms(old && { plan: before, program: old }, own && { plan: after, program: own }),
  );
  const same =
    [kernels, peakBytes, ...Object.values(memory)].every(isSame) &&
    symbols.length + buffers.length === 0 &&
    programs.every(({ state }) => state === "same");
  return {
    name: { before: before.name, after: after.name },
    same,
    kernels,
    memory,
    peakBytes,
    symbols,
    buffers,
    programs,
  };
}

const isSame = ({ before, after }: Figures) => before === after;

type ProgramPair = readonly [before: PlanProgram | undefined, after: PlanProgram | undefined];

function pairPrograms(before: Plan, after: Plan): readonly ProgramPair[] {
  const [old, own] = [before.programs, after.programs];
  if (old.length === 1 && own.length === 1) return [[old[0], own[0]]];
  const named = (programs: readonly PlanProgram[], name: string) => programs.find((one) => one.name === name);
  return [
    ...old.map((program): ProgramPair => [program, named(own, program.name)]),
    ...own.flatMap((program): ProgramPair[] =>
      named(old, program.name) === undefined ? [[undefined, program]] : [],
    ),
  ];
}

type Side = Omit<ProgramSide, "costs"> | undefined;

function differenceOfPrograms(before: Side, after: Side): ProgramDifference {
  const at = commonSymbols(before, after);
  const sides = [before, after].map((side) => side && { ...side, costs: costsOf(side, at) });
  const [left, right] = sides;
  const totals = sides.map((side) => totalCost(side?.costs ?? []));
  const figures = (of: (side: NonNullable<typeof left>) => number): Figures => ({
    before: left === undefined ? 0 : of(left),
    after: right === undefined ? 0 : of(right),
  });
  const total = (figure: keyof (typeof totals)[number]): Figures => ({
    before: totals[0]![figure],
    after: totals[1]![figure],
  });
  const { sameSteps, changes } = differenceOfSteps(left, right);
  const ports = (["input", "output"] as const).flatMap((kind) => {
    const named = sides.map((side) =>
      side === undefined ? new Map() : portsOf(side.plan, side.program[`${kind}s`]),
    );
    return left === undefined || right === undefined ? [] : differenceOfNames(kind, named[0]!, named[1]!);
  });
  const arenaBytes = figures(({ plan, program }) => arenaOf(plan, program));
  const state =
    left === undefined
      ? "added"
      : right === undefined
        ? "gone"
        : changes.length + ports.length === 0 && isSame(arenaBytes)
          ? "same"
          : "changed";
  return {
    name: (before ?? after)!.program.name,
    state,
    at,
    steps: figures(({ program }) => program.steps.length),
    kernels: figures(({ program }) => new Set(program.steps.map(({ kernel }) => kernel)).size),
    arenaBytes,
    readBytes: total("readBytes"),
    writtenBytes: total("writtenBytes"),
    operations: total("operations"),
    sameSteps,
    changes,
    ports,
  };
}

/** Values that both sides allow: of each symbol the smaller of the values that a printed plan is taken at. */
function commonSymbols(before: Side, after: Side): Record<string, number> {
  const values: Record<string, number> = {};
  const sides = [before, after].filter((side) => side !== undefined);
  for (const { plan, program } of sides) {
    const examples = exampleSymbols(plan, program);
    for (const { name, max, sum } of plan.symbols)
      if (sum.length === 0) values[name] = Math.min(max, examples[name]!, values[name] ?? max);
  }
  // A sum of the other side's may be more than this one has room for.
  for (const { symbols } of sides.map(({ plan }) => plan)) {
    for (const { sum, max } of symbols) {
      const parts = sum.map((index) => symbols[index]!.name);
      let excess = parts.reduce((total, name) => total + values[name]!, -max);
      for (const name of parts) {
        const less = Math.min(Math.max(0, excess), values[name]!);
        values[name] = values[name]! - less;
        excess -= less;
      }
    }
  }
  return values;
}

/** A plan is asked for its own symbols only. */
function costsOf({ plan, program }: NonNullable<Side>, at: SymbolValues): readonly StepCost[] {
  const own = plan.symbols
    .filter(({ sum }) => sum.length === 0)
    .map(({ name }) => [name, at[name]!] as const);
  return costOf(plan, program, Object.fromEntries(own));
}

const symbolsOf = ({ symbols }: Plan): Named =>
  new Map(
    symbols.map(({ name, max, sum }) => {
      const parts = sum.map((index) => symbols[index]!.name);
      return [name, `at most ${max}${parts.length === 0 ? "" : `, ${parts.join(" + ")}`}`];
    }),
  );

const describeBuffer = ({ buffers }: Plan, index: number) =>
  `${buffers[index]!.dtype}[${buffers[index]!.shape.join(", ")}]`;

const buffersOf = (plan: Plan, kind: BufferClass): Named =>
  new Map(
    plan.buffers.flatMap((one, index) =>
      one.class === kind ? [[one.name, describeBuffer(plan, index)] as const] : [],
    ),
  );

const portsOf = (plan: Plan, ports: readonly PlanPort[]): Named =>
  new Map(ports.map(({ name, buffer }) => [name, describeBuffer(plan, buffer)]));

/** Where the last of a program's activations ends. */
function arenaOf(plan: Plan, program: PlanProgram): number {
  let end = 0;
  for (const buffer of lifetimesOf(plan, program).keys())
    end = Math.max(end, plan.buffers[buffer]!.offset + plan.buffers[buffer]!.bytes);
  return end;
}
