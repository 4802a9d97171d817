export * from "./batch.ts";
export {
  compileTraining,
  type TrainingCompileOptions,
  type TrainingProgram,
  trainingGraph,
  trainingLength,
  trainingOutputs,
  trainingPrograms,
} from "./compile.ts";
export { type InitialWeightsOptions, initialWeights } from "./initial-weights.ts";
export * from "./schedule.ts";
export * from "./training-model.ts";
