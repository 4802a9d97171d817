/** The compiler's front door: graphs in, one plan out, with a record of everything on the way. */
import { type Graph, type Problems, verifyGraph } from "@weft/dsl";
import { type Either, isLeft, left, right } from "fp-ts/lib/Either.js";
import { fuse } from "./fusion/fuse.ts";
import { indexExpressionOf } from "./fusion/index-arithmetic.ts";
import type { FusedGraph } from "./fusion/types.ts";
import { decompose, type KeepComposite } from "./passes/decompose.ts";
import { attempt, type Pass, type PassRecord, runPasses } from "./passes/pass.ts";
import { simplify } from "./passes/simplify.ts";
import { type BuiltPlan, buildPlan } from "./plan/build.ts";
import { verifyPlan } from "./plan/verify.ts";

export interface CompileOptions {
  readonly name: string;
  /** Fused kernels (the default), or every primitive a kernel of its own: the slow route that fused plans are held against. */
  readonly fusion?: boolean;
  /**
   * Keep the graphs of every pass and the groups, for `explain` and dumps (the default). A program that only runs the
   * plan does without: `compiled` and `groups` are then empty, and compiling takes about half the memory.
   */
  readonly record?: boolean;
}

/** One way to run: a graph and the passes that make it this program. */
export interface ProgramInput {
  readonly name: string;
  readonly graph: Graph;
  readonly passes: readonly Pass[];
}

export interface CompiledProgram {
  readonly name: string;
  readonly records: readonly PassRecord[];
  readonly fused: FusedGraph;
}

export interface Compiled extends BuiltPlan {
  readonly compiled: readonly CompiledProgram[];
  readonly milliseconds: number;
}

/** The attention kernel takes one sequence at a time, whose queries stand at consecutive indices. */
const hasTemplate: KeepComposite = (op, inputs, builder) =>
  op === "attend" &&
  inputs.slice(0, 3).every((id) => builder.type(id).axes.length === 3) &&
  indexExpressionOf((id) => builder.node(id), inputs[3]!) !== undefined;

/**
 * Compiles programs that share weights and state into one plan.
 * @returns the plan with its records, or every problem of the first program that has any.
 */
export function compile(
  programs: readonly ProgramInput[],
  options: CompileOptions,
): Either<Problems, Compiled> {
  const started = performance.now();
  const { fusion = true, record = true } = options;
  const compiled: CompiledProgram[] = [];
  for (const program of programs) {
    const verified = verifyGraph(program.graph);
    if (isLeft(verified)) return verified;
    const passes = [...program.passes, decompose(fusion ? hasTemplate : undefined), simplify()];
    const result = runPasses(program.graph, passes, verifyGraph, record);
    if (isLeft(result)) return result;
    const fused = attempt("fuse", () => fuse(result.right.graph, { enabled: fusion }));
    if (isLeft(fused)) return fused;
    compiled.push({ name: program.name, records: result.right.records, fused: fused.right });
  }
  const built = attempt("emit", () => buildPlan(options.name, "cpu", compiled));
  if (isLeft(built)) return built;
  const problems = verifyPlan(built.right.plan);
  if (problems.length > 0) return left(problems as unknown as Problems);
  const milliseconds = performance.now() - started;
  if (!record) return right({ ...built.right, groups: [], compiled: [], milliseconds });
  return right({ ...built.right, compiled, milliseconds });
}
