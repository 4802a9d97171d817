/** `weft profile`: what each step of a plan takes, beside what the machine can do. */
import { resolve } from "node:path";
import { medianProfile, traceOf } from "@weft/runtime";
import { type Measured, measuredVersion } from "@weft/viewer";
import type { ProfileOptions } from "../commands/profile.ts";
import { openBlockSubject } from "../profile/block-subject.ts";
import { type MeasuredProgram, measurePrograms } from "../profile/measure.ts";
import { openModelSubject } from "../profile/model-subject.ts";
import { figuresOf, formatProgram, type ReportOptions } from "../profile/report.ts";
import type { Subject } from "../profile/subject.ts";
import { openTrainingSubject } from "../profile/training-subject.ts";
import { refuseFp4OnCpu } from "../target/compile-target.ts";
import { measuredRoofline } from "../target/roofline.ts";
import { openTarget } from "../target/target.ts";
import { stopsInOrder } from "../terminal/interrupt.ts";
import { print, printJson } from "../terminal/output.ts";
import { checkOutputFile, writeOutputFile } from "../terminal/output-file.ts";
import { refuse } from "../terminal/refuse.ts";

export async function profile(path: string, options: ProfileOptions): Promise<void> {
  // Before minutes are spent on a large model.
  checkFiles(options);
  refuseFp4OnCpu(options);
  using _order = stopsInOrder();
  using subject = await openSubject(path, options);
  const { device, by, repeat } = options;
  const { plan } = subject.executable;
  const { threads } = subject.executable.memory();
  const roofline = await measuredRoofline(device === "cpu" ? "cpu" : "cuda", threads, options);
  const programs = await measurePrograms(subject, repeat);
  const report: ReportOptions = { by, device, threads, repeat, roofline };
  const written = writeFiles(plan.hash, programs, options);
  if (options.json === true) return printJson(figuresOf(path, plan.hash, programs, report));
  await print([...programs.map((one) => `${formatProgram(one, report)}\n`), ...written].join("\n"));
}

async function openSubject(path: string, options: ProfileOptions): Promise<Subject> {
  if (options.train === true) return openTrainingSubject(path, options);
  const target = await openTarget(path, options.export);
  return target.kind === "model" ? openModelSubject(target, options) : openBlockSubject(target, options);
}

function checkFiles({ trace, out }: ProfileOptions): void {
  if (trace !== undefined) checkOutputFile("--trace", resolve(trace), "trace.json");
  if (out !== undefined) checkOutputFile("--out", resolve(out), "times.json");
  if (trace !== undefined && out !== undefined && resolve(trace) === resolve(out))
    refuse("--trace", "must be another file than --out", { given: trace, remedy: "name another one" });
}

/** Gives a line for each. */
function writeFiles(
  plan: string,
  programs: readonly MeasuredProgram[],
  { trace, out }: ProfileOptions,
): string[] {
  const written: string[] = [];
  if (trace !== undefined) {
    writeOutputFile("--trace", resolve(trace), `${JSON.stringify(traceOf(programs.map(tracedOf)))}\n`);
    written.push(`trace: ${trace}`);
  }
  if (out !== undefined) {
    writeOutputFile("--out", resolve(out), `${JSON.stringify(measuredOf(plan, programs))}\n`);
    written.push(`times: ${out}`);
  }
  return written;
}

function tracedOf({ name, at, profiles, steps }: MeasuredProgram) {
  const symbols = Object.entries(at).map(([symbol, value]) => `${symbol}=${value}`);
  return { name: [name, ...symbols].join(" "), profile: medianProfile(profiles), figures: steps };
}

function measuredOf(plan: string, programs: readonly MeasuredProgram[]): Measured {
  return {
    version: measuredVersion,
    plan,
    programs: programs.map(({ name, at, steps }) => ({
      name,
      at,
      nanoseconds: steps.map((one) => one.nanoseconds),
    })),
  };
}
