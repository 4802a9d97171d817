/** Label shift and prompt masking: the one place that decides what a token is to predict. */

/** The target of a place where nothing is to be learnt. */
export const ignoredTarget = -1;

/**
 * The target of each place: the token behind it where that one is to be learnt, else `ignoredTarget`. The last place has
 * nothing behind it.
 *
 * @param tokens one document
 * @param learn 1 where the token is to be learnt (an answer), 0 where it is only read (a prompt); as long as `tokens`
 * @example targetsOf(Int32Array.of(5, 6, 7), Uint8Array.of(0, 0, 1)); // -1, 7, -1
 */
export function targetsOf(tokens: Int32Array, learn: Uint8Array): Int32Array {
  const targets = new Int32Array(tokens.length).fill(ignoredTarget);
  for (let place = 0; place + 1 < tokens.length; place++) {
    if (learn[place + 1] !== 0) targets[place] = tokens[place + 1]!;
  }
  return targets;
}
