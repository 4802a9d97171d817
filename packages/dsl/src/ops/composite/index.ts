/**
 * Ops with a name of their own that are defined in other ops. A fused kernel may compute one at a stroke, but its
 * definition here is what it means.
 */
import { activationOps } from "./activation.ts";
import { attentionOps } from "./attention.ts";
import { attentionGradientOps } from "./attention-gradient.ts";
import { crossEntropyOps } from "./cross-entropy.ts";
import { linearOps } from "./linear.ts";
import { normalizationOps } from "./normalization.ts";
import { ropeOps } from "./rope.ts";

export const compositeOps = {
  ...linearOps,
  ...normalizationOps,
  ...ropeOps,
  ...attentionOps,
  ...attentionGradientOps,
  ...activationOps,
  ...crossEntropyOps,
};
