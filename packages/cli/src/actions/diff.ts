/** `weft diff`: what differs between two plans or two graphs. */
import {
  differenceOfPlans,
  type Plan,
  type PlanDifference,
  printGraphDifference,
  printPlanDifference,
} from "@weft/compiler";
import { nearestName } from "@weft/dsl";
import type { DiffOptions, PassRange } from "../commands/diff.ts";
import { flagsOf, readSideOptions, type SideOptions } from "../commands/diff-side.ts";
import { compareGraphs, type GraphsDifference, graphsAfter } from "../diff/graphs.ts";
import { compileSide, type GraphDump, isDump, readDump, type Side } from "../diff/side.ts";
import { ChildExit, exitCodes } from "../terminal/failure.ts";
import { print, printJson } from "../terminal/output.ts";
import { refuse } from "../terminal/refuse.ts";

type Difference =
  | { readonly kind: "plan"; readonly plan: PlanDifference }
  | { readonly kind: "graph"; readonly graphs: readonly GraphsDifference[] };

export async function diff(a: string, b: string | undefined, options: DiffOptions): Promise<void> {
  check(a, b, options);
  const labels = [
    labelOf(a, options.a, options.passes?.from),
    labelOf(b ?? a, options.b, options.passes?.to),
  ] as const;
  const left = await open(a, "--a", options.a, options.both);
  const isOneSide = b === undefined && options.a === undefined && options.b === undefined;
  const right = isOneSide ? left : await open(b ?? a, "--b", options.b, options.both);
  const found = chosen(compare(left, right, labels, options.passes), options.program);
  const same = found.kind === "plan" ? found.plan.same : found.graphs.every(({ state }) => state === "same");
  if (options.json === true) await printJson({ a: labels[0], b: labels[1], same, ...found });
  else await print([`A  ${labels[0]}`, `B  ${labels[1]}`, "", ...formatted(found, options)].join("\n"));
  if (options.exitCode === true && !same) throw new ChildExit(exitCodes.failure);
}

/** What can be told before anything is compiled. */
function check(a: string, b: string | undefined, { a: ofA, b: ofB, both, passes }: DiffOptions): void {
  if (b === undefined && ofA === undefined && ofB === undefined && passes === undefined) {
    refuse("diff", "needs two sides", {
      given: a,
      remedy:
        'name B, say how each side is compiled (--b "--dtype bf16"), or name two passes (--passes given..fuse)',
    });
  }
  const sides = [["--a", a, ofA] as const, ["--b", b ?? a, ofB] as const];
  for (const [flag, path, words] of sides) {
    if (words !== undefined && isDump(path))
      refuse(flag, "is of a TARGET that is compiled", {
        given: `the file ${path}`,
        remedy: `leave ${flag} out`,
      });
  }
  const dumps = sides.filter(([, path]) => isDump(path)).length;
  const given = flagsOf(both);
  if (dumps === 2 && given.length > 0) {
    refuse(given.join(", "), "is of a TARGET that is compiled", {
      given: "two files that were dumped",
      remedy: "leave it out",
    });
  }
  if (passes !== undefined && (dumps === 2 || (dumps === 1 && passes.from !== passes.to))) {
    refuse("--passes", "needs a TARGET for each pass that it names", {
      given:
        dumps === 2 ? "two files that were dumped" : "a file that was dumped, which is one graph already",
      remedy: dumps === 2 ? "leave it out" : `use --passes ${passes.to}`,
    });
  }
}

async function open(
  path: string,
  flag: "--a" | "--b",
  words: readonly string[] | undefined,
  both: SideOptions,
): Promise<Side> {
  if (isDump(path)) return readDump(path);
  const own = words === undefined ? {} : readSideOptions(flag, words);
  return compileSide(path, { ...both, ...own });
}

const labelOf = (path: string, words: readonly string[] = [], pass?: string): string =>
  `${[path, ...words].join(" ")}${pass === undefined || isDump(path) ? "" : `, after ${pass}`}`;

function compare(
  left: Side,
  right: Side,
  labels: readonly [string, string],
  passes: PassRange | undefined,
): Difference {
  const kinds = [left.kind, right.kind];
  const isOfGraphs = passes !== undefined || kinds.includes("graphs");
  if (isOfGraphs && kinds.includes("plan")) {
    const [plan, graph] = left.kind === "plan" ? labels : labels.toReversed();
    refuse("diff", "both sides must be plans, or both graphs", {
      given:
        passes === undefined ? `the plan ${plan} and the graph ${graph}` : `the plan ${plan} and --passes`,
      remedy:
        "dump both at one stage: weft dump TARGET --stage plan --format json, or --stage graph --format json",
    });
  }
  if (!isOfGraphs) return { kind: "plan", plan: differenceOfPlans(planOf(left), planOf(right)) };
  const graphs = compareGraphs(graphsOf(left, passes?.from), graphsOf(right, passes?.to));
  return { kind: "graph", graphs };
}

function planOf(side: Side): Plan {
  if (side.kind === "graphs") throw new Error("graphs have no plan");
  return side.kind === "plan" ? side.plan : side.compiled.plan;
}

function graphsOf(side: Side, pass = "given"): readonly GraphDump[] {
  if (side.kind === "plan") throw new Error("a plan has no graphs");
  return side.kind === "graphs" ? side.graphs : graphsAfter(side.compiled, pass);
}

/** Of several programs the one that is asked for; totals of a plan stay those of all. */
function chosen(found: Difference, program: string | undefined): Difference {
  if (program === undefined) return found;
  const names = (found.kind === "plan" ? found.plan.programs : found.graphs).map(({ name }) => name);
  // Graphs of a model are named after the model and the program.
  const isAsked = ({ name }: { readonly name: string }) => name === program || name.endsWith(`-${program}`);
  if (!names.some((name) => isAsked({ name }))) {
    const near = nearestName(program, names);
    refuse("--program", `must be one of ${names.join(", ")}`, {
      given: program,
      ...(near === undefined ? {} : { remedy: `did you mean ${near}?` }),
    });
  }
  return found.kind === "plan"
    ? { kind: "plan", plan: { ...found.plan, programs: found.plan.programs.filter(isAsked) } }
    : { kind: "graph", graphs: found.graphs.filter(isAsked) };
}

const onlyIn = { added: "only in B", gone: "only in A" } as const;

function formatted(found: Difference, options: DiffOptions): string[] {
  if (found.kind === "plan") return [printPlanDifference(found.plan, options)];
  if (found.graphs.every(({ state }) => state === "same")) return ["no difference"];
  return found.graphs.map(({ name, state, difference }) => {
    if (difference === undefined) return `graph ${name}: ${onlyIn[state as keyof typeof onlyIn]}`;
    const text = printGraphDifference(difference, options);
    return difference.same ? `graph ${name}: ${text}` : `graph ${name}\n${text}`;
  });
}
