export type { Recorded, RecordedCall } from "./addon.ts";
export { type CudaDevice, cudaDevice, type RecordingDevice, recordingDevice } from "./device.ts";
export type { DeviceFacts } from "./facts.ts";
export {
  type CompilerMessage,
  compilerMessages,
  compileWithNvrtc,
  describeNvrtc,
  type Nvrtc,
} from "./nvrtc.ts";
export type {
  CudaOptions,
  ExecutionOptions,
  Fault,
  PreparationOptions,
  PreparedCuda,
  RecordingOptions,
} from "./options.ts";
