export * from "./accumulate.ts";
export * from "./optimizer.ts";
export * from "./rules.ts";
export { optimizerStates, parameterStates } from "./states.ts";
