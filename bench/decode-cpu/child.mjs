/**
 * The side of a candidate's process. Plain JavaScript without a loader: what runs is what a user installs, so that
 * memory and start are those of a user's program.
 */

/**
 * Answers messages `{ kind, ...request }` with `{ value }` or `{ error }`, one after the other.
 * @param {Record<string, (request: any) => unknown>} handlers by kind
 */
export function serve(handlers) {
  process.on("message", async ({ kind, ...request }) => {
    try {
      process.send({ value: await handlers[kind](request) });
    } catch (error) {
      process.send({ error: error.stack ?? String(error) });
    }
  });
}

/**
 * Reads `count` tokens of a stream and notes when each came.
 * @param {() => AsyncIterable<number>} generate starts the work
 */
export async function timeTokens(generate, count) {
  const processor = process.cpuUsage();
  const started = performance.now();
  const times = [];
  const tokens = [];
  for await (const token of generate()) {
    times.push(performance.now());
    tokens.push(token);
    if (times.length >= count) break;
  }
  const { user, system } = process.cpuUsage(processor);
  return {
    tokens,
    firstSeconds: (times[0] - started) / 1000,
    gapSeconds: times.slice(1).map((time, i) => (time - times[i]) / 1000),
    processorSeconds: (user + system) / 1e6,
  };
}

/** Bytes, the most that were resident so far. */
export const peakMemory = () => process.resourceUsage().maxRSS * 1024;
