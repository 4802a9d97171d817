/** Blocks: what a user of the DSL writes. */
export {
  asBlock,
  type Block,
  type BlockLike,
  type BlockMethods,
  type InputOf,
  isBlock,
  type OutputOf,
  type wires,
} from "./block.ts";
export { blockCategory } from "./category.ts";
export { chain, first, id, merge, parallel, repeat, residual, second, split } from "./combinators.ts";
export * from "./elementwise.ts";
export * from "./layers.ts";
export * from "./losses.ts";
export { named, stage } from "./naming.ts";
export { blockEquals, normalize, normalizeProducts } from "./normalize.ts";
export { type Parameter, parametersOf } from "./parameters.ts";
export { Scalar, type ScalarLike, select } from "./trace.ts";
export type * from "./types.ts";
export {
  type AnyValue,
  apply,
  input,
  type Program,
  programOf,
  tuple,
  type Value,
  type ValueExpression,
  type ValueLike,
  type valueWire,
  type WireOf,
} from "./value.ts";
export { leavesOf, type PlacedLeaf } from "./walk.ts";
export { flattenWire, formatWire, tensorWire, tupleWire, wireEquals } from "./wire.ts";
export type * from "./wires.ts";
