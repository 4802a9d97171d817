/** Making blocks of one op. */
import type { Axis } from "../axis.ts";
import type { Attributes } from "../graph/types.ts";
import type { OpName } from "../ops/names.ts";
import type { ScalarExpression } from "../ops/scalar.ts";
import { type Block, makeBlock, nameBlock } from "./block.ts";
import type { Site } from "./source.ts";
import type { AnyBlock, ParameterSpec, SideInput, WireSpec } from "./types.ts";

export interface LeafOptions {
  readonly label?: string;
  readonly attributes?: Attributes;
  readonly parameters?: readonly ParameterSpec[];
  readonly sideInputs?: readonly SideInput[];
  readonly expression?: ScalarExpression;
  readonly site?: Site;
}

/** A block that is one op. The caller states its type-level wires. */
export function leaf(op: OpName, input: WireSpec, output: WireSpec, options: LeafOptions = {}): AnyBlock {
  const expression = {
    tag: "leaf",
    op,
    label: options.label ?? op,
    attributes: deepFreeze(options.attributes ?? {}),
    parameters: deepFreeze(options.parameters ?? []),
    sideInputs: deepFreeze(options.sideInputs ?? []),
    ...(options.expression === undefined ? {} : { expression: options.expression }),
  } as const;
  return makeBlock(input, output, expression, options.site);
}

/** A leaf whose parameters live under `name`. */
export function namedLeaf<I, O>(
  name: string,
  op: OpName,
  input: WireSpec,
  output: WireSpec,
  options: LeafOptions,
): Block<I, O> {
  return nameBlock(name, leaf(op, input, output, options), options.site) as Block<I, O>;
}

export function axisList(axes: Axis | readonly Axis[]): readonly Axis[] {
  return Array.isArray(axes) ? axes : [axes as Axis];
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}
