export { type BoundWeights, bindWeights, type RequiredTensor } from "./bind.ts";
export { type Checkpoint, openCheckpoint } from "./checkpoint.ts";
export * from "./dat/index.ts";
export {
  bfloat16ToFloat32,
  bytesOf,
  dtypeBits,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
  type TensorDtype,
} from "./dtype.ts";
export { parseSafetensorsHeader, type SafetensorsFile, type TensorEntry } from "./header.ts";
export { checkFinite, findNonFinite, type NonFinite, nonFiniteProblem } from "./non-finite.ts";
export * from "./nvfp4/index.ts";
export { readTensor, readTensorBytes } from "./read.ts";
export { openSafetensors } from "./safetensors.ts";
export { type TensorToWrite, writeSafetensors } from "./write.ts";
export { type TensorStream, type WrittenFile, writeSafetensorsStream } from "./write-stream.ts";
