export * from "./optimizer.ts";
export * from "./rules.ts";
export { optimizerStates, parameterStates } from "./states.ts";
