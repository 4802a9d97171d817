export { type CpuDescription, describeCpu } from "./describe.ts";
export { type CpuOptions, cpuDevice } from "./device.ts";
export { amax, nvfp4Decode, nvfp4Encode } from "./formats.ts";
