/** What the rest of the DSL package needs of blocks beyond their public face. */
export { asBlock, type BlockLike } from "./block.ts";
export { blockEquals, normalize } from "./normalize.ts";
export { type Parameter, parameterName } from "./parameters.ts";
export type { AnyBlock, BlockExpression, LeafExpression, ParameterSpec, WireSpec } from "./types.ts";
export { childrenOf, joinPath } from "./walk.ts";
export { formatWire } from "./wire.ts";
