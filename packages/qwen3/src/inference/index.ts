export { type Advanced, advanceTo, type Clip } from "./advance.ts";
export { type AppendOptions, ContextCache, type ContextSnapshot, type StepOutputs } from "./context.ts";
export { drawLikeliest } from "./engine.ts";
export {
  type FinishReason,
  type GeneratedToken,
  Generation,
  type GenerationSummary,
  generate,
} from "./generate.ts";
export type { GenerateOptions } from "./generate-options.ts";
export type { LanguageModel } from "./language-model.ts";
export {
  type LogitsMode,
  type LogitsOptions,
  type LogitsResult,
  logitsOf,
  logitsOpenOptions,
} from "./logits.ts";
export { makeDevice } from "./make-device.ts";
export { type LoadQwen3Options, loadQwen3, openQwen3 } from "./open.ts";
export {
  type Activations,
  type DeviceName,
  type OpenOptions,
  type OpenProgress,
  type ResolvedOpenOptions,
  resolveOpenOptions,
  usualOn,
} from "./options.ts";
export {
  type CheckpointWeights,
  type PreparedQwen3,
  prepareQwen3,
  readCheckpointWeights,
  requiredTensors,
  weightsToPredict,
} from "./prepare.ts";
export { Qwen3 } from "./qwen3.ts";
export type { PackedState, StateTensor as CacheTensor } from "./state-layout.ts";
export type { GenerationTiming } from "./timing.ts";
