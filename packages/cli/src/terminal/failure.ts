/** What goes wrong, as an exit code and a message: the one place that decides both. Light, for every command loads it. */
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import type { Problems } from "@weft/dsl";

/**
 * 0 success; 1 the work failed; 2 wrong usage or bad input; 124 ended over a limit, as `timeout` has it; 130 stopped by
 * Ctrl-C, as shells expect.
 */
export const exitCodes = { success: 0, failure: 1, usage: 2, overLimit: 124, interrupted: 130 } as const;

/** Ends with this exit code, of a command that was run for the user or as one that answers by it; all has been said. */
export class ChildExit extends Error {
  override readonly name = "ChildExit";
  readonly exitCode: number;
  constructor(exitCode: number) {
    super(`exit code ${exitCode}`);
    this.exitCode = exitCode;
  }
}

/** A user's own script threw: its stack is what helps, ours does not. */
export class ScriptError extends Error {
  override readonly name = "ScriptError";
  constructor(file: string, thrown: unknown) {
    super(`${file} threw an error`, { cause: thrown });
  }
}

/** The work was well asked for but failed: a full disk, an answer that differs. */
export class FailureError extends Error {
  override readonly name = "FailureError";
}

export interface Failure {
  readonly exitCode: number;
  readonly message: string;
}

/** @param debug whether stack traces are wanted (WEFT_DEBUG=1) */
export function failureOf(error: unknown, debug: boolean): Failure {
  if (error instanceof ScriptError) return scriptFailure(error, debug);
  if (isWeftError(error)) {
    const internal = error.problems.some((problem) => problem.kind === "internal");
    return {
      exitCode: internal ? exitCodes.failure : exitCodes.usage,
      message: internal || debug ? withStack(error) : error.message,
    };
  }
  if (error instanceof FailureError || isSystemError(error)) {
    return { exitCode: exitCodes.failure, message: debug ? withStack(error) : error.message };
  }
  // Whatever else is thrown is a defect of ours, and a report needs the trace.
  const text = error instanceof Error ? withStack(error) : String(error);
  return {
    exitCode: exitCodes.failure,
    message: `internal: [weft] ${text}\nplease report this with the command`,
  };
}

function scriptFailure(error: ScriptError, debug: boolean): Failure {
  const thrown = error.cause;
  if (isWeftError(thrown) && !debug) return { exitCode: exitCodes.usage, message: thrown.message };
  return { exitCode: exitCodes.failure, message: `${error.message}:\n${thrownText(thrown)}` };
}

/** Causes of causes that are told. */
const mostCauses = 8;

/** What was thrown, whatever it is, and what it says of its causes. */
function thrownText(thrown: unknown): string {
  const parts: string[] = [];
  let cause = thrown;
  for (let told = 0; told < mostCauses && (told === 0 || cause !== undefined); told++) {
    parts.push(cause instanceof Error ? ownFrames(cause) : inspect(cause));
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return parts.join("\ncaused by ");
}

/** The part of a stack above the command's own frames: it lies in the user's files. */
function ownFrames(error: Error): string {
  const folder = fileURLToPath(new URL("..", import.meta.url));
  const lines = (error.stack ?? String(error)).split("\n");
  const end = lines.findIndex((line) => line.includes(folder));
  return lines
    .slice(0, end < 0 ? undefined : end)
    .filter((line) => !/node:(internal|events)|\/node_modules\/(esbuild|tsx)\//.test(line))
    .join("\n");
}

function withStack(error: Error): string {
  const frames = (error.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
  return [error.message, ...frames].join("\n");
}

/** Known by its data: a user's script may hold its own copy of the library. */
function isWeftError(error: unknown): error is Error & { readonly problems: Problems } {
  return error instanceof Error && error.name === "WeftError" && "problems" in error;
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "code" in error && "syscall" in error;
}
