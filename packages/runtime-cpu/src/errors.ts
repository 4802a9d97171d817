import { internalProblem, userProblem, WeftError } from "@weft/dsl";

/** The native side's message as a problem. It starts with its source in brackets where the source is not the plan. */
function converted(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof WeftError) return error;
  const internal = /^internal: \[([\w-]+)\] /.exec(error.message);
  if (internal) {
    const text = error.message.slice(internal[0].length);
    return new WeftError([internalProblem(internal[1] ?? "", text)], { cause: error });
  }
  const named = /^(?:unsupported: )?\[([\w-]+)\] /.exec(error.message);
  const text = named ? error.message.slice(named[0].length) : error.message;
  const problem = userProblem(named?.[1] ?? "runtime-cpu", text);
  return new WeftError(
    [named?.[0].startsWith("unsupported") ? { ...problem, kind: "unsupported" } : problem],
    {
      cause: error,
    },
  );
}

/** Calls the addon; what it throws, or rejects with, becomes a WeftError. */
export function nativeError<T>(call: () => Promise<T>): Promise<T>;
export function nativeError<T>(call: () => T): T;
export function nativeError(call: () => unknown): unknown {
  let result: unknown;
  try {
    result = call();
  } catch (error) {
    throw converted(error);
  }
  return result instanceof Promise
    ? result.catch((error: unknown) => {
        throw converted(error);
      })
    : result;
}
