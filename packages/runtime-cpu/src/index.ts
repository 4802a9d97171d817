export { type CpuDescription, describeCpu } from "./describe.ts";
export { type CpuOptions, cpuDevice } from "./device.ts";
