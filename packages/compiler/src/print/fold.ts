/** Finds runs of repeating keys, so that 36 equal layers print as one. */
export interface Run {
  readonly start: number;
  /** How many keys one repetition takes. */
  readonly length: number;
  readonly times: number;
}

/** Splits a list into runs: the longest repetition at each place, single keys otherwise. */
export function foldRuns(keys: readonly string[], longest = 64): Run[] {
  const runs: Run[] = [];
  for (let start = 0; start < keys.length; ) {
    let best: Run = { start, length: 1, times: 1 };
    for (let length = 1; length <= longest && start + 2 * length <= keys.length; length++) {
      let times = 1;
      while (matches(keys, start, start + times * length, length)) times++;
      if (times > 1 && times * length > best.times * best.length) best = { start, length, times };
    }
    runs.push(best);
    start += best.length * best.times;
  }
  return runs;
}

function matches(keys: readonly string[], a: number, b: number, length: number): boolean {
  if (b + length > keys.length) return false;
  for (let i = 0; i < length; i++) if (keys[a + i] !== keys[b + i]) return false;
  return true;
}
