/**
 * The source line that called the DSL. Taking a trace is cheap; turning it into text is not, so a site keeps the raw
 * trace and reads it when somebody asks.
 */

/** Frames kept where the caller is not known, which is in errors only: `wire` goes as deep as its parentheses. */
const traceDepth = 100;

/** A public function of the DSL: what stands above it on the stack is the user's. */
export type Entry = (...values: never[]) => unknown;

const ownFolder = new URL("..", import.meta.url).href;
/** What runs lies in `dist`; where source maps are on, as under tsx, the trace names the files of `src` instead. */
const ownFolders = [ownFolder, ownFolder.replace(/\/dist\/$/, "/src/")];

export interface Site {
  /** `model.ts:12:5`, or undefined where the engine gives no trace. */
  readonly location: string | undefined;
}

class TracedSite implements Site {
  #trace: { stack?: string } | undefined;
  #location: string | undefined;

  constructor(entry: Entry | undefined) {
    const limit = Error.stackTraceLimit;
    // Each frame costs about a microsecond, and a model has a thousand blocks.
    Error.stackTraceLimit = entry === undefined ? traceDepth : 1;
    const trace: { stack?: string } = {};
    Error.captureStackTrace?.(trace, entry ?? captureSite);
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

/** Remembers where the DSL was called from; `entry` is the public function that was called, where it is known. */
export function captureSite(entry?: Entry): Site {
  return new TracedSite(entry);
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
    if (ownFolders.some((folder) => url.startsWith(folder))) continue;
    return `${shortened(decodeURIComponent(new URL(url).pathname))}:${row}:${column}`;
  }
  return undefined;
}

/** No dump should carry the layout of somebody's disk: below the working directory, or the bare file name. */
function shortened(file: string): string {
  const folder = `${globalThis.process?.cwd?.() ?? ""}/`;
  return file.startsWith(folder) ? file.slice(folder.length) : (file.split("/").at(-1) ?? file);
}
