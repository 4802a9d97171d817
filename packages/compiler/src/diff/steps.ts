/**
 * Which step of a plan is which step of another one. Steps are paired by what they compute: first those with the same
 * origins, kernel and buffers, which are the same; then those with the same origins, kind and operations; then those with
 * the same origins and kind; last those with the same kind and operations that begin at the same block, since a cast more
 * may bring the path of a further one. Of several the first that is left; each round takes one look at every step.
 */
import { differenceOfTexts, type Layer } from "@weft/dsl";
import type { StepCost } from "../cost/cost.ts";
import type { Kernel, Plan, PlanProgram } from "../plan/types.ts";
import { printKernel } from "../print/kernel.ts";
import { commonLayer, foldChanges, relativeTo } from "./layers.ts";
import type { Figures, KernelChange, SignedLine } from "./types.ts";

/** A step as it is compared. */
interface Step {
  readonly index: number;
  readonly kind: Kernel["kind"];
  readonly kernel: string;
  readonly origins: readonly string[];
  readonly layer: Layer | undefined;
  /** The kernel's text and its buffers, with the number of the layer taken out. */
  readonly text: string;
  readonly cost: StepCost;
}

export interface StepsDifference {
  readonly sameSteps: number;
  readonly changes: readonly KernelChange[];
}

/** One side: a program, its plan, and what each of its steps costs. */
export interface ProgramSide {
  readonly plan: Plan;
  readonly program: PlanProgram;
  readonly costs: readonly StepCost[];
}

export function differenceOfSteps(
  before: ProgramSide | undefined,
  after: ProgramSide | undefined,
): StepsDifference {
  const [left, right] = [before, after].map((side) => (side === undefined ? [] : stepsOf(side))) as [
    Step[],
    Step[],
  ];
  const partnerOf = pairSteps(left, right);
  const taken = new Set(partnerOf);
  const pairs = left.map((step, at) => [step, right[partnerOf[at]!]] as const);
  const changed = pairs.filter(([step, other]) => other !== undefined && isOther(step, other));
  const gone = pairs.filter(([, other]) => other === undefined);
  const added = right.flatMap((step, at) => (taken.has(at) ? [] : [[undefined, step] as const]));
  return {
    sameSteps: left.length - changed.length - gone.length,
    changes: foldSteps([...changed, ...gone, ...added]),
  };
}

const isOther = (step: Step, other: Step) => step.text !== other.text || costKey(step) !== costKey(other);

const costKey = ({ cost }: Step) => [cost.readBytes, cost.writtenBytes, cost.operations].join();

function stepsOf({ plan, program, costs }: ProgramSide): Step[] {
  const texts = new Map<number, string>();
  return program.steps.map(({ kernel: index, bindings, origins }, at): Step => {
    const kernel = plan.kernels[index]!;
    const name = baseName(kernel.name);
    const known = texts.get(index) ?? printKernel(plan, { ...kernel, name });
    texts.set(index, known);
    const layer = commonLayer(origins);
    const buffers = bindings.map((buffer, slot) => `b${slot}: ${describeBuffer(plan, buffer)}`);
    const text = `${known}\n${relativeTo(layer, buffers.join("\n"))}`;
    return { index: at, kind: kernel.kind, kernel: name, origins, layer, text, cost: costs[at]! };
  });
}

/** A plan numbers kernels of one name; which number one has says nothing. */
const baseName = (name: string) => name.replace(/_\d+$/, "");

/** `f32[64, 128] of weights, lm_head.weight`. Values that a program computes are named by their nodes' numbers, which shift. */
function describeBuffer({ buffers }: Plan, index: number): string {
  const { dtype, shape, class: kind, name } = buffers[index]!;
  return `${dtype}[${shape.join(", ")}] of ${kind}, ${kind === "activations" ? name.replace(/%\d+$/, "") : name}`;
}

/** For each step on the left the one on the right that it is, or -1. */
function pairSteps(left: readonly Step[], right: readonly Step[]): Int32Array {
  const partnerOf = new Int32Array(left.length).fill(-1);
  const taken = new Uint8Array(right.length);
  const place = ({ origins, kind }: Step) => JSON.stringify([kind, origins]);
  const keys: readonly ((step: Step) => string)[] = [
    (step) => `${place(step)}${step.text}`,
    (step) => `${place(step)}${step.kernel}`,
    place,
    ({ kind, kernel, origins }) => JSON.stringify([kind, kernel, origins[0]]),
  ];
  for (const key of keys) {
    const waiting = new Map<string, number[]>();
    right.forEach((step, at) => {
      if (taken[at] === 1) return;
      const name = key(step);
      const others = waiting.get(name);
      if (others === undefined) waiting.set(name, [at]);
      else others.push(at);
    });
    // The last of a list is taken off at no cost.
    for (const others of waiting.values()) others.reverse();
    left.forEach((step, at) => {
      if (partnerOf[at] !== -1) return;
      const partner = waiting.get(key(step))?.pop();
      if (partner === undefined) return;
      partnerOf[at] = partner;
      taken[partner] = 1;
    });
  }
  return partnerOf;
}

type Pair = readonly [before: Step | undefined, after: Step | undefined];

function foldSteps(pairs: readonly Pair[]): KernelChange[] {
  const differing = new Map<string, readonly SignedLine[]>();
  const linesOf = (before: string, after: string) => {
    const key = JSON.stringify([before, after]);
    const known = differing.get(key) ?? differingLines(before, after);
    differing.set(key, known);
    return known;
  };
  const changes = pairs.map(([before, after]) => {
    const { origins, kind, layer } = (before ?? after)!;
    const change = {
      state:
        before === undefined
          ? ("added" as const)
          : after === undefined
            ? ("gone" as const)
            : ("changed" as const),
      kind,
      kernel: {
        ...(before === undefined ? {} : { before: before.kernel }),
        ...(after === undefined ? {} : { after: after.kernel }),
      },
      origins: origins.map((path) => relativeTo(layer, path)),
      lines: before === undefined || after === undefined ? [] : linesOf(before.text, after.text),
    };
    const costs = [before, after].map((step) => (step === undefined ? "" : costKey(step)));
    return { key: JSON.stringify([change, costs]), layer, change: { change, before, after } };
  });
  return foldChanges(changes, (same, folded): KernelChange => {
    const of = (side: "before" | "after") => same.flatMap((one) => one[side] ?? []);
    const sum = (figure: keyof StepCost): Figures => ({
      before: of("before").reduce((total, { cost }) => total + cost[figure], 0),
      after: of("after").reduce((total, { cost }) => total + cost[figure], 0),
    });
    return {
      ...same[0].change,
      ...folded,
      steps: { before: of("before").map(({ index }) => index), after: of("after").map(({ index }) => index) },
      readBytes: sum("readBytes"),
      writtenBytes: sum("writtenBytes"),
      operations: sum("operations"),
    };
  });
}

/**
 * Registers are numbered through a program, so one more shifts all that follow: they are compared as nodes of graphs are,
 * whose numbers do not count. A kernel may have several programs, each with numbers of its own.
 */
function differingLines(before: string, after: string): SignedLine[] {
  return differenceOfTexts(withNodes(before), withNodes(after)).map(({ sign, line }) => ({
    sign,
    line: line.replace(/%(\d+)/g, (_, id: string) => `r${Number(id) % mostRegisters}`),
  }));
}

/** More than any program has. */
const mostRegisters = 1e6;

function withNodes(text: string): string {
  let programs = 0;
  return text
    .split("\n")
    .map((line) => {
      if (/^ *for /.test(line)) programs++;
      return line.replace(
        /\br(\d+)\b/g,
        (_, register: string) => `%${programs * mostRegisters + Number(register)}`,
      );
    })
    .join("\n");
}
