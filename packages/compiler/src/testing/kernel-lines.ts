/** The kernels of a program as lines that a test can expect: `norm + gate + silu + up + mul`. */
import { type Graph, pathPattern } from "@weft/dsl";
import { TestFailure } from "@weft/dsl/testing";
import type { Compiled } from "../compile.ts";
import { type KernelPart, partsOf } from "../emit/naming.ts";
import { nodesOf } from "../fusion/types.ts";
import { foldRuns } from "../print/fold.ts";

export interface KernelLine {
  /** `matmul`, `rows`, ...: what kind of kernel it is. */
  readonly kind: string;
  /** What it was made of, in order. */
  readonly parts: readonly KernelPart[];
  /** The same in the words that a test uses: a leaf with a name by that name, anything else by its op. */
  readonly terms: readonly string[];
}

/** The kernels of each step of a program, in order. */
export function kernelLines(compiled: Compiled, program: number): readonly KernelLine[] {
  const { plan, groups, compiled: records } = compiled;
  const { fused, records: passes } = records[program]!;
  const named = namedLeaves(passes[0]?.before ?? fused.graph);
  return plan.programs[program]!.steps.map(({ kernel }, step) => {
    const parts = partsOf(fused.graph, nodesOf(groups[program]![step]!));
    return {
      kind: plan.kernels[kernel]!.kind,
      parts: parts.length === 0 ? [{ op: "cast", path: "" }] : parts,
      terms: parts.length === 0 ? ["cast"] : parts.map(({ op, path }) => named.get(path) ?? op),
    };
  });
}

/** What each path is called for short, of those that are one leaf's: the last of its segments. */
function namedLeaves(graph: Graph): ReadonlyMap<string, string> {
  const found = new Map<string, number>();
  const beside: ReadonlySet<string> = new Set(["input", "parameter", "constant", "position", "cast"]);
  for (const { op, origin } of graph.nodes) {
    if (!beside.has(op)) found.set(origin.path, (found.get(origin.path) ?? 0) + 1);
  }
  const names = new Map<string, string>();
  for (const [path, count] of found) {
    const last = path.split(".").at(-1)!;
    if (count === 1 && !/^\d*$/.test(last)) names.set(path, last);
  }
  return names;
}

/** One line of an expectation: terms, and a kind where one stands in front. */
export interface ExpectedKernel {
  readonly line: string;
  readonly kind: string | undefined;
  readonly terms: readonly string[];
}

/**
 * Reads an expectation: a kernel a line, `x3:` for the lines that are indented deeper below it, comments behind `#`.
 * @throws TestFailure that names a line that says nothing.
 */
export function readExpectation(expected: string | readonly string[]): readonly ExpectedKernel[] {
  const lines = (typeof expected === "string" ? expected.split("\n") : expected)
    .map((line) => line.replace(/(^|\s)#.*$/, "").trimEnd())
    .filter((line) => line !== "");
  return readBlock(lines, 0, lines.length);
}

function readBlock(lines: readonly string[], from: number, to: number): ExpectedKernel[] {
  const kernels: ExpectedKernel[] = [];
  for (let at = from; at < to; ) {
    const line = lines[at]!.trim();
    const times = /^x(\d+):$/.exec(line);
    if (times === null) {
      kernels.push(readLine(line));
      at++;
      continue;
    }
    let end = at + 1;
    while (end < to && depthOf(lines[end]!) > depthOf(lines[at]!)) end++;
    const body = readBlock(lines, at + 1, end);
    if (body.length === 0) throw new TestFailure(`assertKernels: nothing is indented below "${line}"`);
    for (let i = 0; i < Number(times[1]); i++) kernels.push(...body);
    at = end;
  }
  return kernels;
}

const depthOf = (line: string): number => line.length - line.trimStart().length;

function readLine(line: string): ExpectedKernel {
  const [, kind, rest] = /^(?:(\w+):)?(.*)$/.exec(line)!;
  const terms = rest!
    .split("+")
    .map((term) => term.trim())
    .filter((term) => term !== "");
  const odd = terms.find((term) => !/^(?:\w+|[\w.*-]+|\w+\([\w.*-]+\))$/.test(term));
  if (odd !== undefined || (terms.length === 0 && kind === undefined)) {
    throw new TestFailure(
      `assertKernels: a kernel is written as names and ops with + between them, such as "norm + gate + silu"; given "${line}"`,
    );
  }
  return { line, kind, terms };
}

/** Whether a kernel is what a line expects. A line that only states a kind says nothing of what is in it. */
export function fits({ kind, parts }: KernelLine, expected: ExpectedKernel): boolean {
  if (expected.kind !== undefined && expected.kind !== kind) return false;
  if (expected.terms.length === 0) return true;
  return (
    parts.length === expected.terms.length && parts.every((part, at) => isTerm(part, expected.terms[at]!))
  );
}

/** `op`, the end of a path, or `op(path)`. */
export function isTerm({ op, path }: KernelPart, term: string): boolean {
  const call = /^(\w+)\((.*)\)$/.exec(term);
  if (call !== null) return call[1] === op && pathPattern(call[2]!)(path);
  return term === op || (path !== "" && pathPattern(term)(path));
}

/** The lines, equal neighbours folded as `x3:`; an expectation that holds. */
export function printLines(lines: readonly KernelLine[]): string {
  const texts = lines.map(({ terms }) => terms.join(" + "));
  return foldRuns(texts)
    .flatMap(({ start, length, times }) => {
      const body = texts.slice(start, start + length);
      return times === 1 ? body : [`x${times}:`, ...body.map((line) => `  ${line}`)];
    })
    .join("\n");
}
