/** `weft inspect`: everything that the compiler made of a target, on one page. */
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, extname, join, resolve } from "node:path";
import { formatBytes, type Plan, verifyPlan } from "@weft/compiler";
import { orThrow, userProblem, WeftError } from "@weft/dsl";
import { loadPlan, makeFolder } from "@weft/runtime";
import { pageOf, type RooflineView, readMeasured, type View, viewOf } from "@weft/viewer";
import type { InspectOptions } from "../commands/inspect.ts";
import { compileTarget } from "../target/compile-target.ts";
import { openTarget } from "../target/target.ts";
import { print, printJson } from "../terminal/output.ts";
import { refuse, refuseAll } from "../terminal/refuse.ts";

/** Peak rates where none are given: an H100 SXM's as its data sheet has them, and a desktop CPU's as a guess. */
const usual = {
  cuda: { bandwidth: 3350, arithmetic: 989, source: "peaks of an H100 SXM, dense bf16" },
  cpu: { bandwidth: 40, arithmetic: 0.5, source: "a guess: give --bandwidth and --arithmetic" },
} as const;

export async function inspect(path: string, options: InspectOptions): Promise<void> {
  const file = resolve(options.out ?? `${nameOf(path)}.inspect.html`);
  // Before minutes are spent on a large model.
  if (options.json !== true) checkOutput(file);
  const view = await look(path, options);
  if (options.json === true) return printJson(view);
  const page = pageOf(view);
  write(file, page);
  const steps = view.programs.map(({ name, memory }) => `${name} of ${memory.alive.length} steps`);
  await print(`${file}: ${formatBytes(Buffer.byteLength(page))}; ${steps.join(", ")}`);
}

async function look(path: string, options: InspectOptions): Promise<View> {
  const device = options.device === "cpu" ? "cpu" : "cuda";
  const common = { target: path, device, roofline: rooflineOf(device, options), fp4: options.fp4 } as const;
  const measured = (plan: Plan) =>
    options.profile === undefined
      ? undefined
      : orThrow(readMeasured(readProfile(options.profile), plan, options.profile));
  if (extname(path) === ".json" && isFile(path) && !isConfiguration(path)) {
    if (options.train === true)
      refuse("--train", "must go with a model", { given: `the plan ${path}`, remedy: "leave it out" });
    const plan = await loadPlan(path);
    return lookAtPlan(plan, path, () => viewOf(plan, { ...common, measured: measured(plan) }));
  }
  const target = await openTarget(path, options.export);
  const { compiled } = compileTarget(target, options, options.device);
  const block = target.kind === "graph" ? undefined : target.block;
  return viewOf(compiled, { ...common, block, measured: measured(compiled.plan) });
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

function rooflineOf(device: "cpu" | "cuda", { bandwidth, arithmetic }: InspectOptions): RooflineView {
  const known = usual[device];
  const isGiven = bandwidth !== undefined && arithmetic !== undefined;
  return {
    bytesPerSecond: (bandwidth ?? known.bandwidth) * 1e9,
    operationsPerSecond: (arithmetic ?? known.arithmetic) * 1e12,
    source: isGiven ? "as given" : known.source,
  };
}

const nameOf = (path: string) => basename(resolve(path), extname(path));
/** A config.json is a TARGET as a model directory is; all other JSON is a plan, or told what it should be by `loadPlan`. */
function isConfiguration(path: string): boolean {
  try {
    const json: unknown = JSON.parse(readFileSync(path, "utf8"));
    return typeof json === "object" && json !== null && "hidden_size" in json;
  } catch {
    return false;
  }
}

const isFile = (path: string) => statSync(path, { throwIfNoEntry: false })?.isFile() === true;

function readProfile(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    refuse("--profile", "the file must be readable", { given: messageOf(error), location: file });
  }
}

function checkOutput(file: string): void {
  attempt(file, () => makeFolder(dirname(file)));
  if (statSync(file, { throwIfNoEntry: false })?.isDirectory() === true)
    refuse("--out", "must name a file", {
      given: `the folder ${file}`,
      remedy: `use ${join(file, "page.html")}`,
    });
  const probe = `${file}.${process.pid}.part`;
  attempt(file, () => {
    writeFileSync(probe, "");
    rmSync(probe);
  });
}

/** Whole or not at all: a page that was cut short would open, and show nothing. */
function write(file: string, page: string): void {
  attempt(file, () => {
    const part = `${file}.${process.pid}.part`;
    try {
      writeFileSync(part, page);
      renameSync(part, file);
    } catch (error) {
      rmSync(part, { force: true });
      throw error;
    }
  });
}

function attempt(file: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    refuse("--out", "the folder must be writable", {
      given: messageOf(error),
      location: file,
      remedy: "name another file with --out",
    });
  }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
