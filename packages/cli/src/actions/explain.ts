/** `weft explain`: what became of one block, and why. */
import {
  type Compiled,
  costOf,
  describeGrowth,
  describeLinearPath,
  exampleSymbols,
  explain as explainPath,
  type Fp4Decision,
  formatBytes,
  fp4Decisions,
  knownPaths,
  nearestPath,
  type ProgramExplanation,
  rolesOf,
  type StepCost,
  type StepExplanation,
} from "@weft/compiler";
import { oneLine } from "@weft/dsl";
import type { ExplainOptions } from "../commands/explain.ts";
import { checkProgram } from "../target/check-program.ts";
import { compileTarget, refuseFp4OnCpu } from "../target/compile-target.ts";
import { openTarget } from "../target/target.ts";
import { print, printJson } from "../terminal/output.ts";
import { refuse } from "../terminal/refuse.ts";

interface BufferUse {
  readonly name: string;
  readonly access: string;
  readonly class: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
  readonly offset: number;
}

/** A step with what the plan says about it. */
interface Step extends StepExplanation {
  /** Why these operations are in this kernel. */
  readonly roles: readonly string[];
  readonly buffers: readonly BufferUse[];
  readonly cost: StepCost;
  /** Of products of two NVFP4 matrices: what a GPU's units for FP4 would do of it. */
  readonly fp4?: Pick<Fp4Decision, "isHardware" | "reason">;
}

interface Program extends ProgramExplanation {
  readonly steps: readonly Step[];
  /** The symbol values that costs are taken at. */
  readonly at: Readonly<Record<string, number>>;
}

export async function explain(target: string, path: string, options: ExplainOptions): Promise<void> {
  const { device } = options;
  refuseFp4OnCpu(options);
  const { compiled } = compileTarget(await openTarget(target, options.export), options, device);
  checkProgram(
    options.program,
    compiled.plan.programs.map(({ name }) => name),
  );
  const found = explainPath(compiled, path, device === "cpu" ? "cpu" : "cuda");
  if (found === undefined) refusePath(compiled, path);
  const programs = found.programs
    .filter((one) => options.program === undefined || one.program === options.program)
    .map((one) => withPlan(compiled, one, path, device !== "cpu"));
  if (options.json === true) await printJson({ path, programs });
  else await print([path, ...programs.flatMap((one) => formatProgram(one, options.fp4))].join("\n"));
}

function refusePath(compiled: Compiled, path: string): never {
  const near = nearestPath(compiled, path);
  const known = knownPaths(compiled);
  refuse("explain", "PATH must be the path of a block", {
    given: path,
    remedy:
      near === undefined
        ? `paths here: ${known.slice(0, 8).join(", ")}${known.length > 8 ? ", ..." : ""}`
        : `did you mean ${near}?`,
  });
}

/** Adds roles, buffers and costs to an explanation; for a GPU also what its units for FP4 would do. */
function withPlan(
  compiled: Compiled,
  explanation: ProgramExplanation,
  path: string,
  isForGpu: boolean,
): Program {
  const { plan } = compiled;
  const index = plan.programs.findIndex((one) => one.name === explanation.program);
  const program = plan.programs[index]!;
  const at = exampleSymbols(plan, program);
  const costs = costOf(plan, program, at);
  const { graph } = compiled.compiled[index]!.fused;
  const decisions = isForGpu ? fp4Decisions(plan) : [];
  const steps = explanation.steps.map((step): Step => {
    const { kernel, bindings } = program.steps[step.step]!;
    const buffers = bindings.map((buffer, slot): BufferUse => {
      const { name, dtype, shape, bytes, offset, class: kind } = plan.buffers[buffer]!;
      const { access } = plan.kernels[kernel]!.slots[slot]!;
      return { name, access, class: kind, dtype, shape, bytes, offset };
    });
    const roles = rolesOf(compiled.groups[index]![step.step]!, graph, path);
    const decision = decisions.find((one) => one.kernel === kernel);
    const fp4 = decision && { isHardware: decision.isHardware, reason: decision.reason };
    return { ...step, roles, buffers, cost: costs[step.step]!, ...(fp4 === undefined ? {} : { fp4 }) };
  });
  return { ...explanation, steps, at };
}

/** Which way products take is asked for where kernels are compiled: nothing else decides it. */
function formatFp4({ isHardware, reason }: NonNullable<Step["fp4"]>, way: ExplainOptions["fp4"]): string {
  if (!isHardware) return `by the values of their codes: ${reason}`;
  if (way === "hardware") return `in units for FP4, ${reason}; fewer by the values of their codes`;
  return `by the values of their codes; with --fp4 hardware in units for FP4, ${reason}`;
}

function formatProgram(
  { program, steps, linears, fired, refusals, at }: Program,
  way: ExplainOptions["fp4"],
): string[] {
  const values = Object.entries(at).map(([symbol, value]) => `${symbol}=${value}`);
  const taken = values.length === 0 ? "" : ` at ${values.join(", ")}`;
  const lines = [`  in ${program}:`];
  for (const step of steps) {
    lines.push(`    step ${step.step}, kernel ${step.kernel}`, `      computes ${step.own.join("; ")}`);
    for (const role of step.roles) lines.push(`      why: ${role}`);
    if (step.fp4 !== undefined)
      lines.push(`      products of two NVFP4 matrices: ${formatFp4(step.fp4, way)}`);
    if (step.together.length > 0) lines.push(`      together with ${step.together.map(oneLine).join(", ")}`);
    lines.push(
      ...describeGrowth(step).map((line) => `      ${line}`),
      step.stored.length === 0
        ? "      stores nothing of it: its values stay in registers"
        : `      stores ${step.stored.join("; ")}`,
      "      buffers:",
      ...step.buffers.map(formatBuffer),
      `      ${formatBytes(step.cost.readBytes)} read, ${formatBytes(step.cost.writtenBytes)} written${taken}`,
    );
  }
  if (steps.length === 0) lines.push("    no kernel: nothing of it is needed here");
  for (const linear of linears) {
    const [what, ...why] = describeLinearPath(linear);
    lines.push(`    linear ${what}`, ...why.map((line) => `      ${line}`));
  }
  // What quantize says of a linear stands with it.
  const isSaid = (what: string) => linears.length > 0 && what === "quantize";
  const others = fired.filter((one) => !isSaid(one.slice(0, one.indexOf(":"))));
  if (others.length > 0) lines.push(`    passes: ${others.join("; ")}`);
  for (const one of refusals.filter(({ rule }) => !isSaid(rule)))
    lines.push(`    refused ${one.rule}: ${one.reason} (${oneLine(one.path)})`);
  return lines;
}

function formatBuffer(buffer: BufferUse): string {
  const shape = `${buffer.dtype}[${buffer.shape.join(", ")}]`;
  const place = buffer.class === "weights" ? "weights" : `${buffer.class} from byte ${buffer.offset}`;
  return `        ${buffer.access} ${shape} ${oneLine(buffer.name)}: ${formatBytes(buffer.bytes)} of ${place}`;
}
