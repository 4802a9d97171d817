/** The op table: total over the op names, so that a forgotten op does not compile. */
import { compositeOps } from "./composite/index.ts";
import { contractionOps } from "./contraction.ts";
import type { OpDefinition } from "./define.ts";
import { movementOps } from "./movement.ts";
import type { OpName } from "./names.ts";
import { pointwiseOps } from "./pointwise.ts";
import { quantizeOps } from "./quantize.ts";
import { reductionOps } from "./reduction.ts";
import { stateOps, structureOps } from "./structure.ts";

export type { OpAttributes, OpName } from "./names.ts";

export type OpTable = { readonly [K in OpName]: OpDefinition<K> };

export const opTable: OpTable = {
  ...structureOps,
  ...stateOps,
  ...pointwiseOps,
  ...quantizeOps,
  ...reductionOps,
  ...contractionOps,
  ...movementOps,
  ...compositeOps,
};

export const opNames = Object.keys(opTable) as readonly OpName[];
