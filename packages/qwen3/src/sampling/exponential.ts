/**
 * exp(-x) from multiplications and additions alone. A softmax over 150,000 logits spends its time in `Math.exp`,
 * whose last bit is also each engine's own affair; this one is about three times as fast and the same everywhere.
 */

const fineSteps = 1024;
const deepest = 1000;
const stepsPerUnit = fineSteps / Math.LN2;

/** 2^(-j/1024), made of square roots, which IEEE 754 rounds correctly. */
const fine = (() => {
  const table = new Float64Array(fineSteps).fill(1);
  let factor = 0.5;
  for (let bit = fineSteps / 2; bit >= 1; bit /= 2) {
    factor = Math.sqrt(factor);
    for (let index = 0; index < fineSteps; index++) if ((index & bit) !== 0) table[index]! *= factor;
  }
  return table;
})();

/** 2^-i, exact. */
const coarse = Float64Array.from({ length: deepest }, (_, exponent) => 2 ** -exponent);

/** exp(-x) for x >= 0 (Infinity allowed), to a relative error of 1e-13; 0 from about x = 693 on. */
export function exponentialDecay(x: number): number {
  const steps = x * stepsPerUnit;
  if (!(steps < deepest * fineSteps)) return 0;
  const whole = steps | 0;
  const rest = (steps - whole) * (Math.LN2 / fineSteps);
  const remainder = 1 - rest * (1 - rest * (1 / 2 - rest * (1 / 6)));
  return coarse[whole >> 10]! * fine[whole & (fineSteps - 1)]! * remainder;
}
