/** What became one kernel: a decision of the compiler that no value shows. */
import { differenceOfTexts } from "@weft/dsl";
import { TestFailure } from "@weft/dsl/testing";
import type { Compiled } from "../compile.ts";
import type { KernelPart } from "../emit/naming.ts";
import {
  type ExpectedKernel,
  fits,
  isTerm,
  type KernelLine,
  kernelLines,
  printLines,
  readExpectation,
} from "./kernel-lines.ts";
import { programIndex } from "./program-index.ts";

export interface KernelOptions {
  /** The program that is meant; where there is one only, that one. */
  readonly program?: string;
}

/**
 * Asserts the kernels of a program, in order, and what each was fused from. A line is a kernel; a term is the name of a
 * block (the end of its path), an op, or `op(path)`; a kind of kernel may stand in front; `x3:` repeats what is
 * indented below it. What a failure prints as actual is an expectation that holds.
 * @param expected a text with a kernel on each line, or the lines
 * @throws TestFailure with the kernels that differ, and why the compiler refused to join what was expected in one.
 * @example
 * assertKernels(compileBlock(mlp, { lead: [seq] }), `
 *   matmul: norm + gate + silu + up + mul
 *   matmul: down + add
 * `);
 */
export function assertKernels(
  compiled: Compiled,
  expected: string | readonly string[],
  options: KernelOptions = {},
): void {
  const program = programIndex("assertKernels", compiled, options.program);
  if (compiled.compiled[program] === undefined) {
    throw new TestFailure(
      "assertKernels: this plan was compiled without records; compile with { record: true }",
    );
  }
  const wanted = readExpectation(expected);
  const lines = kernelLines(compiled, program);
  if (lines.length === wanted.length && lines.every((line, at) => fits(line, wanted[at]!))) return;
  const reasons = [...new Set(wanted.flatMap((one) => whyApart(compiled, program, lines, one)))];
  const count = (list: readonly unknown[]) => `${list.length} kernel${list.length === 1 ? "" : "s"}`;
  throw new TestFailure(
    [
      `assertKernels: ${compiled.plan.programs[program]!.name} has ${count(lines)}, expected ${count(wanted)} (- expected, + actual)`,
      ...differing(lines, wanted),
      ...(reasons.length === 0 ? [] : ["why:", ...reasons.slice(0, 12)]),
      "all kernels:",
      ...printLines(lines)
        .split("\n")
        .map((line) => `  ${line}`),
    ].join("\n"),
  );
}

/** Lines that only one side has. Where a kernel fits its expectation, both sides are spelled alike first. */
function differing(lines: readonly KernelLine[], wanted: readonly ExpectedKernel[]): string[] {
  const actual = lines.map(({ kind, terms }) => `${kind}: ${terms.join(" + ")}`);
  const spelled = wanted.map((one) => {
    const found = lines.findIndex((line) => fits(line, one));
    return found < 0 ? one.line : actual[found]!;
  });
  return differenceOfTexts(spelled.join("\n"), actual.join("\n")).map(
    ({ sign, line }) => `  ${sign} ${line}`,
  );
}

/**
 * Of a kernel that is expected and not there: what nobody computes, and, where its terms are in several kernels, why they
 * were not joined. A refusal stands at the path of what could not join.
 */
function whyApart(
  compiled: Compiled,
  program: number,
  lines: readonly KernelLine[],
  expected: ExpectedKernel,
): string[] {
  if (lines.some((line) => fits(line, expected))) return [];
  const has = (line: KernelLine, term: string) => line.parts.some((part) => isTerm(part, term));
  const unknown = expected.terms.filter((term) => !lines.some((line) => has(line, term)));
  const known = expected.terms.filter((term) => !unknown.includes(term));
  const missingIn = (line: KernelLine) => known.filter((term) => !has(line, term));
  const apart = lines
    .map(missingIn)
    .reduce((least, missing) => (missing.length < least.length ? missing : least), known);
  // An op without a name has the path of the block around it, at which others are refused as well.
  const means = (term: string, { op, path }: KernelPart) =>
    isTerm({ op, path }, term) && (term !== op || apart.includes(term));
  const paths = new Set(
    lines.flatMap(({ parts }) =>
      parts.filter((part) => known.some((term) => means(term, part))).map(({ path }) => path),
    ),
  );
  const refusals = apart.length === 0 ? [] : compiled.compiled[program]!.fused.refusals;
  return [
    ...unknown.map((term) => `  no kernel computes ${term}`),
    ...refusals
      .filter(({ path }) => path !== "" && paths.has(path))
      .map(({ rule, reason, path }) => `  ${rule} refused: ${reason} (${path})`),
  ];
}
