export * from "./accumulate.ts";
export * from "./optimizer.ts";
export * from "./rules.ts";
export { optimizerStates, parameterOfStream, parameterStates } from "./states.ts";
