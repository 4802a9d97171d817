/**
 * Expectations about blocks, graphs and values, for any test runner: each throws a `TestFailure` that says what differs.
 * Those about kernels, memory and gradients are in `@weft/compiler/testing`, which has these as well.
 */

export {
  type GraphValues,
  randomNumbers,
  randomSymbols,
  randomTensor,
  type SeededValuesOptions,
  seededValues,
  type ValueRange,
} from "../random/seeded-values.ts";
export {
  assertClose,
  assertOutputsClose,
  type Comparison,
  compareTensors,
  type Disagreement,
  formatComparison,
  placeOf,
  type Tolerance,
} from "./close.ts";
export { TestFailure } from "./failure.ts";
export { assertGraph, assertSnapshot, type SnapshotOptions, snapshotOf } from "./snapshot.ts";
export { assertWires } from "./wires.ts";
