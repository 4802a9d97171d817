/** What the compiler made of a target, as the one value that the page shows. */
import {
  type Compiled,
  type CompiledProgram,
  type CudaEmitOptions,
  cudaTexts,
  exampleSymbols,
  type Plan,
  planVersion,
  printKernel,
} from "@weft/compiler";
import { type AnyBlock, type BlockLike, userProblem, WeftError } from "@weft/dsl";
import { TextTable } from "../format/texts.ts";
import {
  type KernelView,
  type ProgramView,
  type RooflineView,
  type View,
  viewVersion,
} from "../format/types.ts";
import type { MeasuredProgram } from "./measured.ts";
import { bufferRows, memoryOf } from "./memory.ts";
import { notationOf } from "./notation.ts";
import { stagesOf } from "./stages.ts";
import { refusalRows, stepOrigins, stepRows } from "./steps.ts";

export interface ViewOptions extends CudaEmitOptions {
  /** What was looked at, as the user named it: a path. */
  readonly target: string;
  /** Whose kernels are shown. For "cuda" each has the text that is compiled, beside the plan's program. */
  readonly device: "cpu" | "cuda";
  readonly block?: AnyBlock | BlockLike | undefined;
  readonly roofline: RooflineView;
  /** By program: costs are taken at the sizes that it was measured at. */
  readonly measured?: ReadonlyMap<string, MeasuredProgram> | undefined;
}

/**
 * @param source What was just compiled, with its records; or a plan alone, of which there are no graphs to be seen.
 * @throws WeftError for a plan of another version, and where units for FP4 are asked for and the plan has nothing for them.
 */
export function viewOf(source: Compiled | Plan, options: ViewOptions): View {
  const compiled = "plan" in source ? source : undefined;
  const plan = "plan" in source ? source.plan : source;
  checkVersion(plan, options.target);
  const texts = new TextTable();
  const programs = plan.programs.map((program, index): ProgramView => {
    const own = compiled?.compiled[index];
    const measured = options.measured?.get(program.name);
    const at = measured?.at ?? exampleSymbols(plan, program);
    const origins =
      compiled === undefined || own === undefined ? undefined : stepOrigins(compiled, index, options.device);
    const planned = compiled?.programs.find((one) => one.program === program.name);
    return {
      name: program.name,
      at,
      stages: own === undefined ? [] : stagesOf(own, texts),
      steps: stepRows(plan, program, at, texts, origins),
      refusals: refusalRows(own === undefined ? [] : refusalsOf(own), texts),
      memory: memoryOf(plan, program, planned),
      ...(measured === undefined ? {} : { measured: measured.nanoseconds }),
    };
  });
  return {
    version: viewVersion,
    name: plan.name,
    target: options.target,
    device: options.device,
    plan: { version: plan.version, hash: plan.hash },
    ...(options.block === undefined ? {} : { notation: notationOf(options.block) }),
    kernels: kernelsOf(plan, options),
    buffers: bufferRows(plan, texts),
    arenas: { ...plan.memory },
    programs,
    roofline: options.roofline,
    texts: texts.texts,
  };
}

function checkVersion({ version }: Plan, target: string): void {
  if (version === planVersion) return;
  throw new WeftError([
    userProblem("inspect", `the plan must be of version ${planVersion}`, {
      given: `version ${JSON.stringify(version)}`,
      location: target,
      remedy: "compile it again with this version of Weft",
    }),
  ]);
}

function kernelsOf(plan: Plan, { device, fp4 }: ViewOptions): KernelView[] {
  const cuda = device === "cuda" ? cudaTexts(plan, fp4 === undefined ? {} : { fp4 }) : undefined;
  return plan.kernels.map((kernel, index) => ({
    name: kernel.name,
    kind: kernel.kind,
    access: kernel.slots.map((slot) => slot.access),
    program: printKernel(plan, kernel),
    ...(cuda === undefined ? {} : { cuda: cuda[index]! }),
  }));
}

/** What passes refused, then what fusion did; each once. */
function refusalsOf({ records, fused }: CompiledProgram) {
  const all = [...records.flatMap((one) => one.refusals), ...fused.refusals];
  return [
    ...new Map(all.map((one) => [JSON.stringify([one.rule, one.path, one.reason]), one] as const)).values(),
  ];
}
