/** Ctrl-C: the work is asked to stop, so that devices are disposed and logs closed; a second one ends at once. */
import { exitCodes } from "./failure.ts";

export const interruption = new AbortController();

export function stopOnInterrupt(): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (interruption.signal.aborted) process.exit(exitCodes.interrupted);
      interruption.abort();
    });
  }
}
