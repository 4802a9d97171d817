import { internalProblem, userProblem, WeftError } from "@weft/dsl";

/** A native message as a problem. It starts with its source in brackets where that is not the package. */
function converted(error: unknown, source: string): unknown {
  if (!(error instanceof Error) || error instanceof WeftError) return error;
  const internal = /^internal: \[([\w-]+)\] /.exec(error.message);
  if (internal) {
    const text = error.message.slice(internal[0].length);
    return new WeftError([internalProblem(internal[1] ?? "", text)], { cause: error });
  }
  const named = /^(?:unsupported: )?\[([\w-]+)\] /.exec(error.message);
  const text = named ? error.message.slice(named[0].length) : error.message;
  const problem = userProblem(named?.[1] ?? source, text);
  return new WeftError(
    [named?.[0].startsWith("unsupported") ? { ...problem, kind: "unsupported" } : problem],
    {
      cause: error,
    },
  );
}

/** Calls an addon. What it throws, or rejects with, becomes a WeftError; `source` is the package's name in it. */
export interface NativeCall {
  <T>(call: () => Promise<T>): Promise<T>;
  <T>(call: () => T): T;
}

export function nativeCall(source: string): NativeCall {
  return (call: () => unknown): never => {
    let result: unknown;
    try {
      result = call();
    } catch (error) {
      throw converted(error, source);
    }
    const settled =
      result instanceof Promise
        ? result.catch((error: unknown) => {
            throw converted(error, source);
          })
        : result;
    return settled as never;
  };
}
