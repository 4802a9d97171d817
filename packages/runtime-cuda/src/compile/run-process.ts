/** Another program, run to its end off the event loop. */
import { spawn } from "node:child_process";

export interface ProcessOptions {
  readonly cwd?: string;
  readonly environment?: NodeJS.ProcessEnv;
  /** It is ended when it takes longer. */
  readonly timeoutSeconds: number;
  /** It is ended when this is aborted. */
  readonly signal?: AbortSignal | undefined;
}

export interface ProcessResult {
  /** Exit code; null where it was ended or could not start. */
  readonly code: number | null;
  /** What it wrote on stdout and stderr, in the order in which it came, or why it did not start. */
  readonly output: string;
  readonly timedOut: boolean;
}

export function runProcess(
  command: string,
  argv: readonly string[],
  { cwd, environment = process.env, timeoutSeconds, signal }: ProcessOptions,
): Promise<ProcessResult> {
  return new Promise((resolve) => {
    // A group of its own: nvcc's children end with it.
    const child = spawn(command, [...argv], {
      ...(cwd === undefined ? {} : { cwd }),
      env: environment,
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    const pieces: Buffer[] = [];
    let timedOut = false;
    const end = () => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      } catch {
        // It has ended by itself.
      }
    };
    const timer = setTimeout(() => {
      timedOut = true;
      end();
    }, timeoutSeconds * 1000);
    const done = (code: number | null, output: string) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve({ code, output, timedOut });
    };
    if (signal?.aborted === true) end();
    signal?.addEventListener("abort", end);
    child.stdout.on("data", (piece) => pieces.push(piece));
    child.stderr.on("data", (piece) => pieces.push(piece));
    child.on("error", (error) => done(null, error.message));
    child.on("close", (code) => done(code, Buffer.concat(pieces).toString("utf8")));
  });
}
