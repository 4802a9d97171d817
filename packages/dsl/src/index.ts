export * from "./axis.ts";
export * from "./blocks/index.ts";
export * from "./errors.ts";
export * from "./formats/index.ts";
export * from "./graph/builder.ts";
export * from "./graph/tensor-array.ts";
export * from "./graph/tools.ts";
export * from "./graph/types.ts";
export { namePattern, pathPattern } from "./name-pattern.ts";
export { editDistance, nearestName } from "./nearest.ts";
export * from "./notation/index.ts";
export { oneLine } from "./one-line.ts";
export type {
  OpCategory,
  OpDefinition,
  OpDocumentation,
  OpMeaning,
  ReferenceEnvironment,
  Vjp,
  VjpSite,
} from "./ops/define.ts";
export { mostTopK, valueAndIndex } from "./ops/reduction.ts";
export * from "./ops/scalar.ts";
export * from "./ops/shape.ts";
export { constantValue } from "./ops/structure.ts";
export * from "./ops/table.ts";
export * from "./random/philox.ts";
export * from "./random/rounding.ts";
export { seededTensor } from "./random/seeded-values.ts";
