/**
 * The source line that called the DSL. Taking a trace is cheap; turning it into text is not, so a site keeps the raw
 * trace and reads it when somebody asks.
 */

/** Frames kept: the deepest path through the DSL's own functions plus one. */
const traceDepth = 10;

const ownFolder = new URL("..", import.meta.url).href;

export interface Site {
  /** `model.ts:12:5`, or undefined where the engine gives no trace. */
  readonly location: string | undefined;
}

class TracedSite implements Site {
  #trace: { stack?: string } | undefined;
  #location: string | undefined;

  constructor() {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = traceDepth;
    const trace: { stack?: string } = {};
    Error.captureStackTrace?.(trace, captureSite);
    Error.stackTraceLimit = limit;
    this.#trace = trace;
  }

  get location(): string | undefined {
    if (this.#trace !== undefined) {
      this.#location = callerIn(this.#trace.stack ?? "");
      this.#trace = undefined;
    }
    return this.#location;
  }
}

/** Remembers where the DSL was called from. */
export function captureSite(): Site {
  return new TracedSite();
}

/** The first frame that lies outside the DSL's own folder, relative to the working directory where it is below it. */
function callerIn(stack: string): string | undefined {
  for (const line of stack.split("\n").slice(1)) {
    const frame = /(?:\(|at (?:async )?)((?:file:\/\/|[A-Za-z]:[\\/]|\/)[^()]*?):(\d+):(\d+)\)?$/.exec(
      line.trim(),
    );
    if (frame === null) continue;
    const [, file = "", row, column] = frame;
    const url = file.startsWith("file://") ? file : `file://${file}`;
    if (url.startsWith(ownFolder)) continue;
    return `${shortened(decodeURIComponent(new URL(url).pathname))}:${row}:${column}`;
  }
  return undefined;
}

/** No dump should carry the layout of somebody's disk: below the working directory, or the bare file name. */
function shortened(file: string): string {
  const folder = `${globalThis.process?.cwd?.() ?? ""}/`;
  return file.startsWith(folder) ? file.slice(folder.length) : (file.split("/").at(-1) ?? file);
}
