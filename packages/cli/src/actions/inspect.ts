/** `weft inspect`: everything that the compiler made of a target, on one page. */
import { readFileSync, statSync } from "node:fs";
import { basename, extname, resolve } from "node:path";
import { formatBytes, type Plan, planVersion, verifyPlan } from "@weft/compiler";
import { orThrow, userProblem, WeftError } from "@weft/dsl";
import { loadPlan } from "@weft/runtime";
import { pageOf, readMeasured, type View, viewOf } from "@weft/viewer";
import type { InspectOptions } from "../commands/inspect.ts";
import { compileTarget, refuseFp4OnCpu } from "../target/compile-target.ts";
import { isConfiguration } from "../target/model-target.ts";
import { usualRoofline } from "../target/roofline.ts";
import { openTarget } from "../target/target.ts";
import { refuseTrainingOptions } from "../target/training-target.ts";
import { print, printJson } from "../terminal/output.ts";
import { checkOutputFile, writeOutputFile } from "../terminal/output-file.ts";
import { refuse, refuseAll } from "../terminal/refuse.ts";

export async function inspect(path: string, options: InspectOptions): Promise<void> {
  const file = resolve(options.out ?? `${nameOf(path)}.inspect.html`);
  // Before minutes are spent on a large model.
  if (options.json !== true) checkOutputFile("--out", file, "page.html");
  else if (options.out !== undefined)
    refuse("--out", "must be left out with --json, which prints", {
      given: options.out,
      remedy: "leave one of them out",
    });
  refuseFp4OnCpu(options);
  const view = await look(path, options);
  if (options.json === true) return printJson(view);
  const page = pageOf(view);
  writeOutputFile("--out", file, page);
  const steps = view.programs.map(({ name, memory }) => `${name} of ${memory.alive.length} steps`);
  await print(`${file}: ${formatBytes(Buffer.byteLength(page))}; ${steps.join(", ")}`);
}

async function look(path: string, options: InspectOptions): Promise<View> {
  const device = options.device === "cpu" ? "cpu" : "cuda";
  const common = {
    target: path,
    device,
    roofline: usualRoofline(device, options),
    fp4: options.fp4,
  } as const;
  const measured = (plan: Plan) =>
    options.profile === undefined
      ? undefined
      : orThrow(readMeasured(readProfile(options.profile), plan, options.profile));
  if (extname(path) === ".json" && isFile(path) && !isConfiguration(path)) {
    refuseOptionsOfTargets(path, options);
    const plan = await loadPlan(path, { version: planVersion });
    return lookAtPlan(plan, path, () => viewOf(plan, { ...common, measured: measured(plan) }));
  }
  const target = await openTarget(path, options.export);
  const { compiled } = compileTarget(target, options, options.device);
  const block = target.kind === "graph" ? undefined : target.block;
  return viewOf(compiled, { ...common, block, measured: measured(compiled.plan) });
}

/** A plan is compiled already: what decides about that would be ignored. */
function refuseOptionsOfTargets(path: string, options: InspectOptions): void {
  const decided = { given: `the plan ${path}`, remedy: "leave it out" };
  if (options.train === true) refuse("--train", "must go with a model", decided);
  refuseTrainingOptions(options);
  const { capacity, chunk, dtype, quantize, activations, export: exported, lead } = options;
  const given = { capacity, chunk, dtype, quantize, activations, export: exported, lead };
  for (const [name, value] of Object.entries(given))
    if (value !== undefined) refuse(`--${name}`, "is of a TARGET that is compiled", decided);
  if (options.rescore === false) refuse("--no-rescore", "is of a TARGET that is compiled", decided);
}

/** A plan whose hash is right may still be of somebody's own making: what does not hold together is told, wherever it shows. */
function lookAtPlan(plan: Plan, path: string, look: () => View): View {
  const refusal = (given: string) =>
    userProblem("plan", "the plan must hold together", { given, location: path, remedy: "compile it again" });
  try {
    const view = look();
    const problems = verifyPlan(plan).map(({ requirement, given = "" }) =>
      refusal(`${requirement}: ${given}`),
    );
    refuseAll(plan.programs.length === 0 ? [...problems, refusal("no programs")] : problems);
    return view;
  } catch (error) {
    if (error instanceof WeftError) throw error;
    throw new WeftError([refusal(messageOf(error))]);
  }
}

const nameOf = (path: string) => basename(resolve(path), extname(path));
const isFile = (path: string) => statSync(path, { throwIfNoEntry: false })?.isFile() === true;

function readProfile(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    refuse("--profile", "the file must be readable", { given: messageOf(error), location: file });
  }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
