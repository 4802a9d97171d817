export { emitCuda } from "./emit.ts";
export { preludeFolder, selfContained } from "./prelude.ts";
export * from "./types.ts";
