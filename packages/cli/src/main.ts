/** The command from its arguments to its exit code. */
import { CommanderError } from "commander";
import { createProgram } from "./program.ts";
import { ChildExit, exitCodes, failureOf } from "./terminal/failure.ts";
import { interruption, stopOnInterrupt } from "./terminal/interrupt.ts";
import { endOnClosedPipe, errorColours, flushed } from "./terminal/output.ts";

/** Runs the command and ends the process: native threads and open terminals must not keep it alive. */
export async function run(argv: readonly string[]): Promise<never> {
  endOnClosedPipe();
  stopOnInterrupt();
  const exitCode = await execute(argv);
  await flushed();
  process.exit(exitCode);
}

/** Runs the command inside this process, which goes on afterwards; for tests and other programs. */
export async function execute(argv: readonly string[]): Promise<number> {
  try {
    await createProgram().parseAsync(argv, { from: "user" });
    // An action that stopped early because it was asked to returns normally.
    return interruption.aborted ? exitCodes.interrupted : exitCodes.success;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.success : exitCodes.usage;
    if (error instanceof ChildExit) return error.exitCode;
    if (interruption.aborted) return exitCodes.interrupted;
    const { exitCode, message } = failureOf(error, process.env.WEFT_DEBUG === "1");
    process.stderr.write(`${errorColours.red(message)}\n`);
    return exitCode;
  }
}
