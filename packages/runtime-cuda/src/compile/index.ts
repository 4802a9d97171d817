export { type CompileAheadOptions, compileAhead, type TargetImages } from "./compile-ahead.ts";
export type { Compilation, Compiler, CudaCompiler, KernelResources } from "./compiler.ts";
export { cubinArchitecture } from "./cubin.ts";
export {
  type FindNvccOptions,
  type FoundNvcc,
  findNvcc,
  formatTried,
  type NvccSearch,
  requireNvcc,
  type TriedPlace,
} from "./find-nvcc.ts";
export { gpuCompiler } from "./gpu-compiler.ts";
export {
  compileForHost,
  findHostCompiler,
  type HostCompiler,
  type HostModule,
  hostFlags,
  hostKernelCompiler,
  simulatorFolder,
} from "./host-compiler.ts";
export { cachedCompilation, KernelCache, type KernelCacheOptions } from "./kernel-cache.ts";
export type { KernelInputs } from "./kernel-entry.ts";
export type { CompiledManifest, StoredFile, StoredPlan } from "./manifest.ts";
export { type NvccOptions, nvccCompiler } from "./nvcc.ts";
export {
  compileWithNvrtc,
  findNvrtc,
  type Nvrtc,
  type NvrtcNeeds,
  nvrtcCompiler,
  nvrtcFlags,
} from "./nvrtc.ts";
export { prepareByCompiling, prepareFromFolder } from "./prepare.ts";
export { type CompiledFolder, readCompiled } from "./read-compiled.ts";
export { kernelResources } from "./resources.ts";
export {
  type CudaTarget,
  capabilityOf,
  cudaTargets,
  requireFp4Target,
  runsOn,
  type TargetFacts,
  targetFacts,
  targetFor,
  targetNames,
} from "./targets.ts";
export { type CompiledParts, writeCompiled } from "./write-compiled.ts";
