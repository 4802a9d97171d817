/** The compiler's front door: graphs in, one plan out, with a record of everything on the way. */
import { type Graph, type Problems, verifyGraph } from "@weft/dsl";
import { type Either, isLeft, left, right } from "fp-ts/lib/Either.js";
import { hasAttentionTemplate, isAttention } from "./fusion/attention.ts";
import { fuse } from "./fusion/fuse.ts";
import { isLossOfProduct } from "./fusion/loss-head.ts";
import type { FusedGraph } from "./fusion/types.ts";
import { decompose, type KeepComposite } from "./passes/decompose.ts";
import { attempt, type Pass, type PassRecord, runPasses } from "./passes/pass.ts";
import { simplify } from "./passes/simplify.ts";
import { type BuiltPlan, buildPlan } from "./plan/build.ts";
import type { LayerRepeat } from "./plan/repeat/repeat-layers.ts";
import { verifyPlan } from "./plan/verify.ts";

export interface CompileOptions {
  readonly name: string;
  /** Fused kernels (the default), or every primitive a kernel of its own: the slow route that fused plans are held against. */
  readonly fusion?: boolean;
  /**
   * Positions of a chunk: the head of a model and its cross entropy are one kernel that goes through the positions in
   * chunks, so that whole scores never exist. With `fusion` only. Default: the definitions.
   */
  readonly lossChunk?: number;
  /**
   * Keep the graphs of every pass and the groups, for `explain` and dumps (the default). A program that only runs the
   * plan does without: `compiled` and `groups` are then empty, and compiling takes about half the memory.
   */
  readonly record?: boolean;
}

export type LoweringOptions = Pick<CompileOptions, "fusion"> & { readonly lossChunk?: number | undefined };

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
  /** One of its passes makes gradients. */
  readonly trains: boolean;
}

export interface Compiled extends BuiltPlan {
  readonly compiled: readonly CompiledProgram[];
  readonly milliseconds: number;
}

const hasTemplate =
  (lossChunk: number | undefined): KeepComposite =>
  (op, inputs, builder) =>
    isAttention(op)
      ? hasAttentionTemplate(op, inputs, builder)
      : lossChunk !== undefined && isLossOfProduct(op, inputs, builder);

/**
 * Compiles programs that share weights and state into one plan.
 * @returns the plan with its records, or every problem of the first program that has any.
 */
export function compile(
  programs: readonly ProgramInput[],
  options: CompileOptions,
): Either<Problems, Compiled> {
  const started = performance.now();
  const { record = true } = options;
  const lowered = lowerPrograms(programs, options);
  if (isLeft(lowered)) return lowered;
  const built = attempt("emit", () => buildPlan(options.name, "cpu", lowered.right));
  if (isLeft(built)) return built;
  const finished = finish(built.right, started);
  if (isLeft(finished) || !record) return finished;
  return right({ ...finished.right, groups: built.right.groups, compiled: lowered.right });
}

/**
 * Compiles a model of many equal layers in the time of a few. The plan is the one that `compile` makes of the whole
 * model; there are no records of its passes.
 * @param programs the model with `patternLayers` layers: the first, two of those between, the last.
 * @returns undefined where the layers do not follow one pattern: compile the whole model then.
 */
export function compileRepeated(
  programs: readonly ProgramInput[],
  repeat: LayerRepeat,
  options: Omit<CompileOptions, "record">,
): Either<Problems, Compiled | undefined> {
  const started = performance.now();
  const lowered = lowerPrograms(programs, { ...options, record: false });
  if (isLeft(lowered)) return lowered;
  const built = attempt("emit", () => buildPlan(options.name, "cpu", lowered.right, repeat));
  if (isLeft(built)) return built;
  return built.right === undefined ? right(undefined) : finish(built.right, started);
}

/**
 * The passes from composites to what fusion works on, which end every program. Passes that must see primitives follow a
 * lowering of their own, with the same options.
 */
export function lowering({ fusion = true, lossChunk }: LoweringOptions): readonly Pass[] {
  return [decompose(fusion ? hasTemplate(lossChunk) : undefined), simplify()];
}

/** Each program through its passes and fusion. */
function lowerPrograms(
  programs: readonly ProgramInput[],
  { fusion = true, record = true, lossChunk }: CompileOptions,
): Either<Problems, CompiledProgram[]> {
  const lowered: CompiledProgram[] = [];
  for (const program of programs) {
    const verified = verifyGraph(program.graph);
    if (isLeft(verified)) return verified;
    const passes = [...program.passes, ...lowering({ fusion, lossChunk })];
    const result = runPasses(program.graph, passes, verifyGraph, record);
    if (isLeft(result)) return result;
    const fused = attempt("fuse", () => fuse(result.right.graph, { enabled: fusion, lossChunk }));
    if (isLeft(fused)) return fused;
    const trains = program.passes.some((pass) => pass.name === "grad");
    lowered.push({ name: program.name, records: result.right.records, fused: fused.right, trains });
  }
  return right(lowered);
}

function finish({ plan, programs }: BuiltPlan, started: number): Either<Problems, Compiled> {
  const problems = verifyPlan(plan);
  if (problems.length > 0) return left(problems as unknown as Problems);
  return right({ plan, programs, groups: [], compiled: [], milliseconds: performance.now() - started });
}
