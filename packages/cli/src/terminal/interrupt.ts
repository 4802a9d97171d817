/**
 * Ctrl-C. Work that can stop in order (it disposes a device, closes a log) says so and is asked to; everything else,
 * and a second Ctrl-C, ends at once.
 */
import { exitCodes } from "./failure.ts";

const controller = new AbortController();
let orderly = 0;

/** Aborted once the user has pressed Ctrl-C. */
export const interruption: AbortSignal = controller.signal;

/** While the result is not disposed, Ctrl-C only sets `interruption`. */
export function stopsInOrder(): Disposable {
  orderly++;
  return {
    [Symbol.dispose]: () => {
      orderly--;
    },
  };
}

export function stopOnInterrupt(): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (orderly === 0 || interruption.aborted) process.exit(exitCodes.interrupted);
      controller.abort();
    });
  }
}
