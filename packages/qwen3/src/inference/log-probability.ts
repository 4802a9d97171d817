/** The natural logarithm of a token's probability under a softmax over all logits, in double precision. */
export function logProbabilityOf(logits: Float32Array, token: number): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) if (logits[id]! > largest) largest = logits[id]!;
  let sum = 0;
  for (let id = 0; id < logits.length; id++) sum += Math.exp(logits[id]! - largest);
  return logits[token]! - largest - Math.log(sum);
}
