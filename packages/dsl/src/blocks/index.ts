export * from "./block.ts";
export * from "./combinators.ts";
export * from "./elementwise.ts";
export * from "./layers.ts";
export * from "./naming.ts";
export { Scalar, type ScalarLike, select } from "./trace.ts";
export type * from "./types.ts";
export type * from "./wires.ts";
