export { type CudaEmitOptions, cudaTexts, emitCuda } from "./emit.ts";
export { type Fp4Decision, type Fp4Products, fp4Decisions } from "./fp4.ts";
export { preludeFolder, selfContained } from "./prelude.ts";
export * from "./types.ts";
