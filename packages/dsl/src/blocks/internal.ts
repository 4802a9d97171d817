/** What the rest of the DSL package needs of blocks beyond their public face. */
export {
  asBlock,
  type Block,
  type BlockLike,
  blockError,
  chainBlocks,
  deepest,
  type InputOf,
  misfit,
  nameBlock,
  type OutputOf,
  tooDeep,
} from "./block.ts";
export type {
  ChainChecked,
  ChainOf,
  ParallelChecked,
  ParallelOf,
  RepeatChecked,
  ResidualChecked,
  SplitOf,
} from "./checks.ts";
export { id, parallelOf, repeat, residual, splitOf } from "./combinators.ts";
export { stage } from "./naming.ts";
export { blockEquals, normalize } from "./normalize.ts";
export { type Parameter, parameterName } from "./parameters.ts";
export type { AnyBlock, BlockExpression, LeafExpression, ParameterSpec, WireSpec } from "./types.ts";
export { childrenOf, joinPath } from "./walk.ts";
export { formatWire } from "./wire.ts";
export type { Anything } from "./wires.ts";
