export * from "./accumulate.ts";
export { makeBlocks } from "./make-blocks.ts";
export { type MomentFormat, momentFormats } from "./moments.ts";
export * from "./optimizer.ts";
export * from "./rules.ts";
export { optimizerStates, parameterOfStream, parameterStates } from "./states.ts";
