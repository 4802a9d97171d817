/**
 * A pass is a value with a name: a graph in, a graph out, and a record of what it did. The runner verifies every
 * result, keeps before and after, and stops at the first problem.
 */
import type { Graph, GraphNode, Problem, Problems } from "@weft/dsl";
import { WeftError } from "@weft/dsl";
import { type Either, left, right } from "fp-ts/lib/Either.js";

/** Why a rule did not apply where one might have expected it. */
export interface Refusal {
  readonly rule: string;
  readonly path: string;
  readonly reason: string;
}

/** What a pass tells about its work while it runs. */
export interface PassLog {
  fired(rule: string, path: string): void;
  refused(rule: string, path: string, reason: string): void;
}

export interface Pass {
  readonly name: string;
  /** What it does, in one sentence. */
  readonly summary: string;
  readonly run: (graph: Graph, log: PassLog) => Graph;
}

export interface PassRecord {
  readonly pass: string;
  readonly summary: string;
  readonly before: Graph;
  readonly after: Graph;
  /** How often each rule fired, and where. */
  readonly fired: ReadonlyMap<string, readonly string[]>;
  readonly refusals: readonly Refusal[];
  readonly milliseconds: number;
}

export class PassRecorder implements PassLog {
  readonly rules = new Map<string, string[]>();
  readonly refusals: Refusal[] = [];

  fired(rule: string, path: string): void {
    const paths = this.rules.get(rule);
    if (paths === undefined) this.rules.set(rule, [path]);
    else paths.push(path);
  }

  refused(rule: string, path: string, reason: string): void {
    this.refusals.push({ rule, path, reason });
  }
}

/** Turns what a pass throws into data: a WeftError's problems, or an internal problem that names the pass. */
export function attempt<A>(source: string, action: () => A): Either<Problems, A> {
  try {
    return right(action());
  } catch (error) {
    if (error instanceof WeftError) return left(error.problems);
    const problem: Problem = {
      kind: "internal",
      source,
      requirement: error instanceof Error ? error.message : String(error),
      remedy: "please report this with the model and the command",
    };
    return left([problem]);
  }
}

export interface PipelineResult {
  readonly graph: Graph;
  readonly records: readonly PassRecord[];
}

/**
 * Runs passes in order; `verify` checks each result, and its problems are this pass's fault. Without `keep` nothing is
 * recorded, and each graph goes as soon as the next one is there.
 */
export function runPasses(
  graph: Graph,
  passes: readonly Pass[],
  verify: (graph: Graph) => Either<Problems, Graph>,
  keep = true,
): Either<Problems, PipelineResult> {
  const records: PassRecord[] = [];
  let current = graph;
  for (const pass of passes) {
    const recorder = new PassRecorder();
    const started = performance.now();
    const result = attempt(pass.name, () => pass.run(current, recorder));
    if (result._tag === "Left") return result;
    const milliseconds = performance.now() - started;
    const checked = verify(result.right);
    if (checked._tag === "Left") {
      const [first, ...rest] = checked.left.map(
        (problem): Problem => ({ ...problem, kind: "internal", source: `${pass.name}: ${problem.source}` }),
      );
      return left([first!, ...rest]);
    }
    if (keep) {
      records.push({
        pass: pass.name,
        summary: pass.summary,
        before: current,
        after: result.right,
        fired: recorder.rules,
        refusals: recorder.refusals,
        milliseconds,
      });
    }
    current = result.right;
  }
  return right({ graph: current, records });
}

/** The path that a log line shows: the node's own, or its op where it has none. */
export function placeOf(node: GraphNode): string {
  return node.origin.path === "" ? node.op : node.origin.path;
}
