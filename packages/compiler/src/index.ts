export * from "./activation-budget.ts";
export {
  type Compiled,
  type CompiledProgram,
  type CompileOptions,
  compile,
  compileRepeated,
  type LoweringOptions,
  lowering,
  type ProgramInput,
} from "./compile.ts";
export * from "./cost/cost.ts";
export * from "./cuda/index.ts";
export * from "./diff/index.ts";
export * from "./explain/boundaries.ts";
export * from "./explain/explain.ts";
export * from "./explain/linear-paths.ts";
export * from "./explain/product-ways.ts";
export { rolesOf } from "./explain/roles.ts";
export * from "./explain/step-boundaries.ts";
export { type FuseOptions, fuse } from "./fusion/fuse.ts";
export * from "./fusion/types.ts";
export * from "./interpreter/index.ts";
export * from "./onnx/index.ts";
export { type CandidatesOptions, candidates, candidatesOutput } from "./passes/candidates.ts";
export * from "./passes/checkpoint/index.ts";
export { decompose } from "./passes/decompose.ts";
export {
  type DrawField,
  type DrawTokenOptions,
  drawFields,
  drawInput,
  drawnToken,
  drawToken,
} from "./passes/draw-token.ts";
export { type ExpandOptions, expandBlock } from "./passes/expand.ts";
export { type GradOptions, grad, gradientOutput } from "./passes/grad/grad.ts";
export { cacheSymbols, type KvCacheOptions, kvCache } from "./passes/kv-cache.ts";
export { lastPosition } from "./passes/last-position.ts";
export * from "./passes/lora/index.ts";
export * from "./passes/optimizer/index.ts";
export { type PackDocumentsOptions, packDocuments, packInputs } from "./passes/pack-documents.ts";
export * from "./passes/pass.ts";
export { type PrecisionOptions, type PrecisionPolicy, precision } from "./passes/precision.ts";
export * from "./passes/quantize/index.ts";
export { type RescoreOptions, rescore } from "./passes/rescore.ts";
export { consumersOf, liveNodes, rewriteGraph } from "./passes/rewrite.ts";
export { simplify } from "./passes/simplify.ts";
export { type BuiltPlan, buildPlan, hashPlan } from "./plan/build.ts";
export { coverageOf } from "./plan/coverage.ts";
export { type InPlace, lifetimesOf, type ProgramMemory, planMemory } from "./plan/memory.ts";
export { type ArenaPeak, arenaPeak, bytesCovered } from "./plan/peak.ts";
export { type LayerRepeat, patternLayers } from "./plan/repeat/repeat-layers.ts";
export * from "./plan/types.ts";
export { verifyPlan } from "./plan/verify.ts";
export { formatBytes, formatCount } from "./print/amounts.ts";
export { programToDot, programToMermaid } from "./print/diagram.ts";
export { foldRuns, type Run } from "./print/fold.ts";
export { printFused } from "./print/fused.ts";
export { formatAffine, printKernel, printKernels } from "./print/kernel.ts";
export {
  exampleSymbols,
  type PrintPlanOptions,
  printMemory,
  printPlan,
  printProgram,
} from "./print/plan.ts";
