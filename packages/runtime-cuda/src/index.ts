export type { Recorded, RecordedCall } from "./addon.ts";
export {
  compileForHost,
  findHostCompiler,
  type HostCompiler,
  type HostModule,
  hostFlags,
  simulatorFolder,
} from "./compile/host-compiler.ts";
export {
  compileWithNvrtc,
  describeNvrtc,
  type Nvrtc,
  type NvrtcModule,
  nvrtcFlags,
} from "./compile/nvrtc.ts";
export {
  type CudaDevice,
  cudaDevice,
  type RecordingDevice,
  recordingDevice,
  simulatedDevice,
} from "./device.ts";
export type { DeviceFacts } from "./facts.ts";
export type {
  CudaOptions,
  ExecutionOptions,
  Fault,
  PreparationOptions,
  PreparedCuda,
  RecordingOptions,
  SimulatedOptions,
} from "./options.ts";
export * from "./compile/index.ts";
