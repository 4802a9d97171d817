/** The optimizers in plain TypeScript and doubles, one element at a time, as PyTorch's documentation writes them. */

export interface ReferenceAdamW {
  readonly learningRate: number;
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  readonly weightDecay: number;
  readonly maxNorm: number;
}

export interface ReferenceState {
  readonly weight: Float64Array;
  readonly first: Float64Array;
  readonly second: Float64Array;
  readonly decays: boolean;
}

/** The norm of all gradients, and the factor that `torch.nn.utils.clip_grad_norm_` multiplies them by. */
export function clipOf(gradients: Iterable<Float64Array>, maxNorm: number): { norm: number; factor: number } {
  let squares = 0;
  for (const gradient of gradients) for (const one of gradient) squares += one * one;
  const norm = Math.sqrt(squares);
  return { norm, factor: Math.min(1, maxNorm / (norm + 1e-6)) };
}

/** `torch.optim.AdamW`, step by its documentation; `step` counts from 1. */
export function adamWReference(
  { weight, first, second, decays }: ReferenceState,
  gradient: Float64Array,
  factor: number,
  step: number,
  { learningRate, betas: [beta1, beta2], epsilon, weightDecay }: ReferenceAdamW,
): void {
  for (let i = 0; i < weight.length; i++) {
    const g = gradient[i]! * factor;
    if (decays) weight[i]! -= learningRate * weightDecay * weight[i]!;
    first[i] = beta1 * first[i]! + (1 - beta1) * g;
    second[i] = beta2 * second[i]! + (1 - beta2) * g * g;
    const firstHat = first[i]! / (1 - beta1 ** step);
    const secondHat = second[i]! / (1 - beta2 ** step);
    weight[i]! -= (learningRate * firstHat) / (Math.sqrt(secondHat) + epsilon);
  }
}
