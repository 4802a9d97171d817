export * from "./checkpoint/index.ts";
export * from "./data/index.ts";
export type {
  JsonValue,
  MemoryTable,
  StateTensor,
  StepHyper,
  StepResult,
  Trainable,
  TrainingBatch,
} from "./trainable.ts";
