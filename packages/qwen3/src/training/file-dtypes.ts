/** The dtypes of weights as safetensors files spell them. */
import type { Weight } from "@weft/runtime";
import type { TensorDtype } from "../weights/dtype.ts";

export const fileDtypes = {
  f32: "F32",
  bf16: "BF16",
  f16: "F16",
  f8e4m3: "F8_E4M3",
  nvfp4: "U8",
  i32: "I32",
  i8: "I8",
} as const satisfies Record<Weight["dtype"], TensorDtype>;
