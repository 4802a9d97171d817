export { type CompileAheadOptions, compileAhead, type TargetImages } from "./compile-ahead.ts";
export type { Compilation, Compiler, KernelResources } from "./compiler.ts";
export { cubinArchitecture } from "./cubin.ts";
export {
  type FindNvccOptions,
  type FoundNvcc,
  findNvcc,
  type NvccSearch,
  requireNvcc,
  type TriedPlace,
} from "./find-nvcc.ts";
export {
  compileForHost,
  findHostCompiler,
  type HostCompiler,
  type HostModule,
  hostFlags,
  hostKernelCompiler,
  simulatorFolder,
} from "./host-compiler.ts";
export { cachedCompilation, cachedCompile, KernelCache, type KernelCacheOptions } from "./kernel-cache.ts";
export type { KernelInputs } from "./kernel-entry.ts";
export type { CompiledManifest, StoredFile, StoredPlan } from "./manifest.ts";
export { type NvccOptions, nvccCompiler } from "./nvcc.ts";
export {
  compileWithNvrtc,
  describeNvrtc,
  type Nvrtc,
  type NvrtcModule,
  nvrtcCompiler,
  nvrtcFlags,
} from "./nvrtc.ts";
export { type PreparedModules, prepareByCompiling, prepareFromFolder } from "./prepare.ts";
export { type CompiledFolder, readCompiled } from "./read-compiled.ts";
export { kernelResources } from "./resources.ts";
export {
  type CudaTarget,
  capabilityOf,
  cudaTargets,
  runsOn,
  type TargetFacts,
  targetFacts,
  targetFor,
  targetNames,
} from "./targets.ts";
export { type CompiledParts, writeCompiled } from "./write-compiled.ts";
