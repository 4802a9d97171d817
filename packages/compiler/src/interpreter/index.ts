/** The reference interpreter over the graph IR. */
export { dotArrays } from "./dot.ts";
export { type Expansion, expandGraph } from "./expand.ts";
export { type InterpretOptions, interpret } from "./interpret.ts";
export { type InterpreterState, initialState } from "./state.ts";
