export { type CpuDescription, describeCpu } from "./describe.ts";
export { type CpuOptions, cpuDevice } from "./device.ts";
export {
  amax,
  fp8Encode,
  type Nvfp4Statistics,
  nvfp4Decode,
  nvfp4Encode,
  nvfp4Statistics,
} from "./formats.ts";
export { measureMultiplyAddRate, measureReadBandwidth } from "./limits.ts";
