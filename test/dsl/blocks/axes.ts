/** The axes of a small Qwen3. */
import { axis } from "@weft/dsl";

export const axes = {
  hidden: axis("hidden", 64),
  heads: axis("heads", 4),
  kvHeads: axis("kvHeads", 2),
  headDim: axis("headDim", 16),
  intermediate: axis("intermediate", 128),
};

export const vocab = axis("vocab", 256);
