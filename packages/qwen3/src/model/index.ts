export { axesOf, qwen3Block, qwen3Model } from "./block.ts";
export { cacheDtype, compileQwen3, type Qwen3CompileOptions, qwen3Programs } from "./compile.ts";
