export * from "./batch.ts";
export type { QuantizeTraining } from "./blocks.ts";
export * from "./checkpoint/index.ts";
export {
  compileTraining,
  type TrainingCompileOptions,
  type TrainingProgram,
  trainingGraph,
  trainingLength,
  trainingOutputs,
  trainingPrograms,
} from "./compile.ts";
export * from "./data/index.ts";
export { type InitialWeightsOptions, initialWeights, unfilledWeights } from "./initial-weights.ts";
export * from "./metrics/index.ts";
export type { QuantizedFormat } from "./quantized-model.ts";
export * from "./schedule.ts";
export {
  type TrainedTokenizer,
  type TrainTokenizerOptions,
  trainTokenizer,
} from "./tokenizer/train-tokenizer.ts";
export type {
  JsonValue,
  MemoryTable,
  StateTensor,
  StepHyper,
  StepResult,
  Trainable,
} from "./trainable.ts";
export { TrainableModel } from "./trainable-model.ts";
export { evaluationLossOf, train } from "./trainer.ts";
export type { TrainEvent, TrainOptions, TrainResult } from "./trainer-options.ts";
export { trainingMemory } from "./training-memory.ts";
export * from "./training-model.ts";
export type { TrainingOptions } from "./training-options.ts";
export {
  type RuleConstants,
  type RuleName,
  ruleNames,
  type StepHyperparameters,
  trainingWeights,
} from "./update-rule.ts";
