export * from "./checkpoint/index.ts";
export * from "./data/index.ts";
export * from "./metrics/index.ts";
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
  TrainingBatch,
} from "./trainable.ts";
export { evaluationLossOf, train } from "./trainer.ts";
export type { TrainEvent, TrainOptions, TrainResult } from "./trainer-options.ts";
