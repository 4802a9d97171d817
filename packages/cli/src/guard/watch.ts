/** Looks at a number again and again until it has been over its limit for too long. */

export interface Limit {
  /** What is watched: `GPU memory`. */
  readonly label: string;
  readonly limitBytes: number;
  /** 0: the first look over the limit is enough. */
  readonly overSeconds: number;
  readonly pollSeconds: number;
  /** Bytes now, or why they cannot be known. */
  readonly read: () => Promise<number | string>;
}

/** Looks in a row that may give no number: one is often a driver that is busy. */
const mostFailures = 5;

/**
 * Ends with a sentence once the limit has been passed, or nothing can be read any more; with nothing where `signal`
 * came first.
 */
export async function watch(limit: Limit, signal: AbortSignal): Promise<string | undefined> {
  let since: number | undefined;
  let failures = 0;
  while (!signal.aborted) {
    const bytes = await limit.read();
    if (signal.aborted) return undefined;
    const now = performance.now();
    if (typeof bytes === "string") {
      if (++failures >= mostFailures) return `${limit.label} cannot be watched any more: ${bytes}`;
    } else {
      failures = 0;
      if (bytes <= limit.limitBytes) since = undefined;
      else {
        since ??= now;
        const over = (now - since) / 1000;
        if (over >= limit.overSeconds) {
          const time = limit.overSeconds === 0 ? "" : ` for ${over.toFixed(1)} s`;
          return `${limit.label} is ${gigabytes(bytes)}, over the limit of ${gigabytes(limit.limitBytes)}${time}`;
        }
      }
    }
    await pause(limit.pollSeconds * 1000, signal);
  }
  return undefined;
}

const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;

/** Waits; less long where the signal comes. */
export function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal?.addEventListener("abort", done);
  });
}
