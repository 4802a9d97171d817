/**
 * Expectations about what a compiler makes of blocks: kernels, memory, values and gradients, together with those of
 * `@weft/dsl/testing`. For any test runner: each throws a `TestFailure` that says what differs.
 */
export * from "@weft/dsl/testing";
export { type CompileBlockOptions, compileBlock } from "./compile-block.ts";
export { assertEquivalent, type DeviceEquivalenceOptions, type EquivalenceOptions } from "./equivalent.ts";
export {
  assertGradients,
  type DifferenceOptions,
  type GradCheckOptions,
  gradCheck,
  gradientsOf,
  lossOutput,
  type Point,
  withLoss,
} from "./gradients.ts";
export { assertKernels, type KernelOptions } from "./kernels.ts";
export { assertPeakBytes, type ExpectedBytes } from "./peak.ts";
export {
  type LoadedPlan,
  type PlanDevice,
  type PlanWeight,
  plainWeights,
  type RunPlanOptions,
  runOnDevice,
  runsOnDevice,
} from "./run-plan.ts";
