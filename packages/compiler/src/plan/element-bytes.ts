/** What one element of a stored value takes. */
import type { Dtype } from "@weft/dsl";

/** nvfp4: with its share of a block's scale, in whole tiles. bool: lies as f32. */
export const elementBytes: Readonly<Record<Dtype, number>> = {
  f32: 4,
  bf16: 2,
  f16: 2,
  f8e4m3: 1,
  nvfp4: 9 / 16,
  i32: 4,
  i8: 1,
  bool: 4,
};
