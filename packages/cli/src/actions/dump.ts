/** `weft dump`: every stage of the compiler, in every form that suits it. */
import {
  type Compiled,
  type CompiledProgram,
  emitCuda,
  type FusedGraph,
  nodesOf,
  type PlanProgram,
  type PrintPlanOptions,
  printFused,
  printKernels,
  printMemory,
  printPlan,
  programToDot,
  programToMermaid,
} from "@weft/compiler";
import {
  type Graph,
  graphToDot,
  graphToJson,
  graphToMermaid,
  graphToTypeScript,
  prettyBlock,
  printBlock,
  printGraph,
} from "@weft/dsl";
import type { DumpOptions, Format, Stage } from "../commands/dump.ts";
import { checkProgram } from "../target/check-program.ts";
import { compileTarget } from "../target/compile-target.ts";
import { graphAfter } from "../target/graph-after.ts";
import { openTarget, type Target } from "../target/target.ts";
import { refuseTrainingOptions } from "../target/training-target.ts";
import { print } from "../terminal/output.ts";
import { refuse, refuseUnsupported } from "../terminal/refuse.ts";

/** The forms that each stage has. Diagrams are of graphs and of plans, whose steps are a graph. */
const formatsOf: Readonly<Record<Stage, readonly Format[]>> = {
  expr: ["text", "json"],
  graph: ["text", "json", "dot", "mermaid", "ts"],
  fused: ["text", "json"],
  plan: ["text", "json", "dot", "mermaid"],
  memory: ["text", "json"],
  kernels: ["text", "json"],
  cuda: ["text", "json"],
};

/** @param stageGiven whether the user named the stage: `--print-after` and `--format ts` alone imply the graph */
export async function dump(path: string, options: DumpOptions, stageGiven: boolean): Promise<void> {
  const isOfGraph = options.printAfter !== undefined || options.format === "ts";
  const stage = isOfGraph && !stageGiven ? "graph" : options.stage;
  const forms = formatsOf[stage];
  if (!forms.includes(options.format)) {
    refuseUnsupported("--format", `${stage} has the forms ${forms.join(", ")}`, {
      given: options.format,
      remedy: `use --format ${forms.join(" or ")}`,
    });
  }
  if (options.printAfter !== undefined && stage !== "graph") {
    refuse("--print-after", "prints a graph", { given: `--stage ${stage}`, remedy: "leave --stage out" });
  }
  if (options.fp4 !== undefined && stage !== "cuda") {
    refuse("--fp4", "decides about the text of CUDA kernels", {
      given: `--stage ${stage}`,
      remedy: "add --stage cuda, or leave it out",
    });
  }
  if (stage === "expr") refuseOptionsOfPlans(options);
  if (stage === "plan" && options.format === "json" && options.program !== undefined) {
    refuse("--program", "must be left out for a plan in JSON: a part of it could not be loaded", {
      given: options.program,
      remedy: "use --format text for the steps of a program",
    });
  }
  const target = await openTarget(path, options.export);
  await print(stage === "expr" ? expression(target, options.format) : compiledStage(target, stage, options));
}

/** A block is as it was written, however it is compiled. */
function refuseOptionsOfPlans(options: DumpOptions): void {
  const { train, program, dtype, quantize, activations, capacity, chunk, lead } = options;
  const given = { train, program, dtype, quantize, activations, capacity, chunk, lead };
  const remedy = `name another --stage, as in --stage graph; stages are ${Object.keys(formatsOf).join(", ")}`;
  for (const [name, value] of Object.entries(given))
    if (value !== undefined)
      refuse(`--${name}`, "is of what a block is compiled to", { given: "--stage expr", remedy });
  if (options.rescore === false)
    refuse("--no-rescore", "is of what a block is compiled to", { given: "--stage expr", remedy });
  refuseTrainingOptions(options);
}

function expression(target: Target, format: Format): string {
  if (target.kind === "graph") {
    refuse("--stage", "expr needs a block", { given: "a graph", remedy: "use --stage graph" });
  }
  if (format === "json") return JSON.stringify({ expression: printBlock(target.block) }, undefined, 2);
  return prettyBlock(target.block);
}

function compiledStage(target: Target, stage: Exclude<Stage, "expr">, options: DumpOptions): string {
  const { compiled } = compileTarget(target, options, stage === "cuda" ? "cuda" : "cpu");
  const names = compiled.plan.programs.map((program) => program.name);
  const { program } = options;
  checkProgram(program, names);
  const chosen = program === undefined ? names : [program];
  switch (stage) {
    case "graph":
      return graphStage(graphsOf(compiled, options.printAfter, chosen), options);
    case "fused":
      return fusedStage(
        compiled.compiled.filter((one) => chosen.includes(one.name)),
        options,
      );
    case "plan":
      return planStage(compiled, chosen, options);
    case "memory":
      return memoryStage(compiled, chosen, options);
    case "kernels":
      return kernelsStage(compiled, chosen, options.format);
    case "cuda":
      return cudaStage(compiled, options);
    default:
      return stage satisfies never;
  }
}

/** The text of all kernels, or with it the launches of each step. One text serves all programs. */
function cudaStage({ plan }: Compiled, { format, program, fp4 }: DumpOptions): string {
  const cuda = emitCuda(plan, fp4 === undefined ? {} : { fp4 });
  if (format === "json") {
    const programs = cuda.programs.filter((one) => program === undefined || one.name === program);
    return JSON.stringify({ ...cuda, programs }, undefined, 2);
  }
  if (program !== undefined) {
    refuse("--program", "must be left out for the text of the kernels", {
      given: program,
      remedy: "use --format json for the launches of a program",
    });
  }
  return cuda.modules.map(({ source }) => source.trimEnd()).join("\n");
}

/** The graph of each program as it entered the passes, or as one of them left it. */
function graphsOf(compiled: Compiled, pass: string | undefined, names: readonly string[]): readonly Graph[] {
  const programs = compiled.compiled.filter((one) => names.includes(one.name));
  return programs.map((one) =>
    pass === undefined ? one.records[0]!.before : graphAfter(one, pass, "--print-after"),
  );
}

function graphStage(graphs: readonly Graph[], { format, fold, program }: DumpOptions): string {
  // A JSON, diagram or source file holds one graph; unless asked otherwise that is the first program's.
  const [first] = graphs;
  switch (format) {
    case "text":
      return graphs.map((graph) => printGraph(graph, { fold })).join("\n");
    case "json":
      return graphs.length === 1 || program !== undefined
        ? graphToJson(first!)
        : jsonList(graphs.map(graphToJson));
    case "dot":
      return graphToDot(first!, { fold });
    case "mermaid":
      return graphToMermaid(first!, { fold });
    case "ts":
      return graphToTypeScript(first!);
    default:
      return format satisfies never;
  }
}

/** Documents that are written already, as one JSON array. */
const jsonList = (documents: readonly string[]) =>
  `[\n${documents.map((one) => one.trimEnd()).join(",\n")}\n]`;

function fusedStage(programs: readonly CompiledProgram[], { format, fold }: DumpOptions): string {
  if (format === "json") {
    return JSON.stringify(
      programs.map(({ name, fused }) => ({ program: name, ...fusedJson(fused) })),
      undefined,
      2,
    );
  }
  return programs.map(({ fused }) => printFused(fused, { unfolded: !fold })).join("\n\n");
}

function fusedJson(fused: FusedGraph): object {
  return {
    graph: fused.graph.name,
    groups: fused.groups.map((group) => ({
      kind: group.kind,
      nodes: nodesOf(group).sort((a, b) => a - b),
      stored: nodesOf(group).filter((id) => fused.stored.has(id)),
      origins: [...new Set(nodesOf(group).map((id) => fused.graph.nodes[id]!.origin.path))],
    })),
    refusals: fused.refusals,
  };
}

function planStage(compiled: Compiled, names: readonly string[], { format, fold }: DumpOptions): string {
  const plan = {
    ...compiled.plan,
    programs: compiled.plan.programs.filter((one) => names.includes(one.name)),
  };
  const options: PrintPlanOptions = { unfolded: !fold };
  switch (format) {
    case "text":
      return printPlan(plan, options);
    case "json":
      return JSON.stringify(compiled.plan, undefined, 1);
    case "dot":
      return programToDot(plan, firstProgram(plan.programs));
    case "mermaid":
      return programToMermaid(plan, firstProgram(plan.programs));
    case "ts":
      return refuseUnsupported("--format", "source is of graphs", { given: "--stage plan" });
    default:
      return format satisfies never;
  }
}

const firstProgram = (programs: readonly PlanProgram[]) => programs[0]!;

function memoryStage(compiled: Compiled, names: readonly string[], { format }: DumpOptions): string {
  const programs = compiled.programs.filter((one) => names.includes(one.program));
  const plan = {
    ...compiled.plan,
    programs: compiled.plan.programs.filter((one) => names.includes(one.name)),
  };
  if (format === "text") return printMemory(plan, programs);
  const { memory, buffers } = compiled.plan;
  return JSON.stringify({ memory, programs, buffers }, undefined, 2);
}

function kernelsStage(compiled: Compiled, names: readonly string[], format: Format): string {
  const programs = compiled.plan.programs.filter((one) => names.includes(one.name));
  const used = new Set(programs.flatMap((program) => program.steps.map((step) => step.kernel)));
  if (format === "json") {
    return JSON.stringify(
      compiled.plan.kernels.filter((_, index) => used.has(index)),
      undefined,
      2,
    );
  }
  if (used.size === compiled.plan.kernels.length) return printKernels(compiled.plan);
  const order = [...used].sort((a, b) => a - b);
  return printKernels({
    ...compiled.plan,
    kernels: order.map((index) => compiled.plan.kernels[index]!),
    programs: programs.map((program) => ({
      ...program,
      steps: program.steps.map((step) => ({ ...step, kernel: order.indexOf(step.kernel) })),
    })),
  });
}
