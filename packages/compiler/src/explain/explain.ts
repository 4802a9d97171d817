/** explain(path): what became of a block, which rules worked on it, and which refused with what reason. */
import { formatType, type NodeId, nearestName } from "@weft/dsl";
import type { Compiled, CompiledProgram } from "../compile.ts";
import { nodesOf } from "../fusion/types.ts";
import type { Refusal } from "../passes/pass.ts";
import { describeLinearPath, type LinearPath, linearPaths } from "./linear-paths.ts";
import type { DeviceKind } from "./product-ways.ts";
import { describeBoundaries, placed, type StepGrowth, stepGrowths } from "./step-boundaries.ts";

export interface StepExplanation extends StepGrowth {
  readonly step: number;
  readonly kernel: string;
  /** What the kernel computes of this block, as `op: type`. */
  readonly own: readonly string[];
  /** Other blocks in the same kernel. */
  readonly together: readonly string[];
  /** Values of this block that are written to memory. */
  readonly stored: readonly string[];
}

export interface ProgramExplanation {
  readonly program: string;
  readonly steps: readonly StepExplanation[];
  /** Rules of passes that worked here: `precision: matmul input rounded to bf16`. */
  readonly fired: readonly string[];
  readonly refusals: readonly Refusal[];
  /** Which path each linear of this block takes, and why. */
  readonly linears: readonly LinearPath[];
}

export interface Explanation {
  readonly path: string;
  readonly programs: readonly ProgramExplanation[];
}

const within = (path: string, place: string) => place === path || place.startsWith(`${path}.`);

/** Every block path that some node of the compiled programs carries. */
export function knownPaths(compiled: Compiled): string[] {
  const paths = new Set<string>();
  for (const program of compiled.compiled) {
    for (const record of program.records.slice(0, 1)) {
      for (const node of record.before.nodes) {
        const parts = node.origin.path.split(".");
        for (let i = 1; i <= parts.length; i++) paths.add(parts.slice(0, i).join("."));
      }
    }
  }
  paths.delete("");
  return [...paths];
}

/**
 * Undefined when no block has this path; `nearestPath` then says which is meant.
 * @param device whose kernels multiply; default the CPU's
 */
export function explain(
  compiled: Compiled,
  path: string,
  device: DeviceKind = "cpu",
): Explanation | undefined {
  if (!knownPaths(compiled).includes(path)) return undefined;
  const linears = linearPaths(compiled, device).filter((one) => within(path, one.path));
  return {
    path,
    programs: compiled.compiled.map((program, index) => ({
      ...explainProgram(compiled, program, index, path),
      linears: linears.filter((one) => one.program === program.name),
    })),
  };
}

export function nearestPath(compiled: Compiled, path: string): string | undefined {
  return nearestName(path, knownPaths(compiled));
}

function explainProgram(
  compiled: Compiled,
  program: CompiledProgram,
  index: number,
  path: string,
): Omit<ProgramExplanation, "linears"> {
  const { fused, records } = program;
  const groups = compiled.groups[index]!;
  const plan = compiled.plan.programs[index]!;
  const kernels = plan.steps.map((step) => compiled.plan.kernels[step.kernel]!.name);
  const growths = stepGrowths(fused, groups, kernels);
  const describe = (id: NodeId) => `${fused.graph.nodes[id]!.op}: ${formatType(fused.graph.nodes[id]!.type)}`;
  const steps = groups.flatMap((group, step): StepExplanation[] => {
    const nodes = nodesOf(group);
    const own = nodes.filter((id) => within(path, fused.graph.nodes[id]!.origin.path));
    if (own.length === 0) return [];
    return [
      {
        step,
        kernel: kernels[step]!,
        own: own.map(describe),
        together: plan.steps[step]!.origins.filter((origin) => !within(path, origin)),
        stored: own.filter((id) => fused.stored.has(id)).map(describe),
        ...growths[step]!,
      },
    ];
  });
  const fired = records.flatMap((record) =>
    [...record.fired].flatMap(([rule, places]) =>
      places.some((place) => within(path, place)) ? [`${record.pass}: ${rule}`] : [],
    ),
  );
  const refusals = [...records.flatMap((record) => record.refusals), ...fused.refusals].filter((one) =>
    within(path, one.path),
  );
  return { program: program.name, steps, fired, refusals };
}

/** What a kernel began with, and for each value that it reads or gives, why the kernel on the other side is another one. */
export const describeGrowth = ({ begins, boundaries }: StepGrowth): readonly string[] => [
  `begins with ${placed(begins)}`,
  ...describeBoundaries(boundaries),
];

export function printExplanation(explanation: Explanation): string {
  const lines = [explanation.path];
  for (const program of explanation.programs) {
    lines.push(`  in ${program.program}:`);
    for (const step of program.steps) {
      lines.push(`    step ${step.step}, kernel ${step.kernel}`);
      lines.push(`      computes ${step.own.join("; ")}`);
      if (step.together.length > 0) lines.push(`      together with ${step.together.join(", ")}`);
      lines.push(
        `      stores ${step.stored.length === 0 ? "nothing of it: its values stay in registers" : step.stored.join("; ")}`,
      );
      lines.push(...describeGrowth(step).map((line) => `      ${line}`));
    }
    if (program.steps.length === 0) lines.push("    no kernel: nothing of it is needed here");
    lines.push(...program.linears.flatMap(describeLinearPath).map((line) => `    ${line}`));
    if (program.fired.length > 0) lines.push(`    rules: ${program.fired.join("; ")}`);
    for (const one of program.refusals) lines.push(`    refused ${one.rule}: ${one.reason} (${one.path})`);
  }
  return lines.join("\n");
}
