/**
 * Ctrl-C. Work that can stop in order (it disposes a device, closes a log) says so and is asked to; everything else,
 * and a second Ctrl-C, ends at once, also what takes no turn of the event loop.
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

const signals = ["SIGINT", "SIGTERM"] as const;
let isListening = false;
let busy = 0;

function onSignal(): void {
  if (orderly === 0 || interruption.aborted) process.exit(exitCodes.interrupted);
  controller.abort();
}

export function stopOnInterrupt(): void {
  isListening = true;
  for (const signal of signals) process.on(signal, onSignal);
}

/**
 * While the result is not disposed, the system ends the process: for work that computes in one piece, or runs code of the
 * user's that may never end. No listener of ours would be called before it is done.
 */
export function endsAtOnce(): Disposable {
  if (isListening && busy++ === 0) for (const signal of signals) process.off(signal, onSignal);
  return {
    [Symbol.dispose]: () => {
      if (isListening && --busy === 0) for (const signal of signals) process.on(signal, onSignal);
    },
  };
}
