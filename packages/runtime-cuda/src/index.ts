export type { Recorded, RecordedCall } from "./addon.ts";
export * from "./compile/index.ts";
export {
  type CudaDevice,
  cudaDevice,
  type RecordingDevice,
  recordingDevice,
  simulatedDevice,
} from "./device.ts";
export { type CudaExecutable, describeCublasLt, type MatmulStep } from "./executable.ts";
export type { DeviceFacts, MatmulLibraryFacts } from "./facts.ts";
export {
  type KernelOptions,
  type OpenGpuOptions,
  type OpenSimulatorOptions,
  openGpu,
  openSimulator,
} from "./open.ts";
export type {
  CudaOptions,
  ExecutionOptions,
  Fault,
  PreparationOptions,
  PreparedCuda,
  RecordingOptions,
  SimulatedOptions,
} from "./options.ts";
