/** Ops that bring values in: inputs, parameters, constants, indices, and state that outlives a run. */
import type { Axis } from "../axis.ts";
import { nvfp4Block } from "../formats/index.ts";
import type { Dtype, TensorType } from "../graph/types.ts";
import type { OpDefinition } from "./define.ts";
import { duplicateAxis, findAxis, missingAxis, sizeFor, typeEquals } from "./shape.ts";
import { integers, leaf, stop } from "./vjp/common.ts";
import { passOn } from "./vjp/tensor.ts";

const free = { perResult: 0, perInput: 0 };
const none = { min: 0, max: 0 };
const one = { min: 1, max: 1 };

function distinctAxes(dtype: Dtype, axes: readonly Axis[]): TensorType | string {
  const twice = duplicateAxis(axes);
  if (twice !== undefined) return `axis "${twice}" must not stand twice in a tensor`;
  const last = axes.at(-1)?.size;
  if (dtype === "nvfp4" && !(typeof last === "number" && last % nvfp4Block === 0))
    return `nvfp4 needs a last axis of a fixed size that is a multiple of ${nvfp4Block}`;
  return { dtype, axes };
}

const input: OpDefinition<"input"> = {
  name: "input",
  category: "structure",
  documentation: {
    summary: "a value that the caller gives at every run",
    inputs: [],
    result: "of the given type",
  },
  arity: none,
  infer: (_, { dtype, axes }) => distinctAxes(dtype, axes),
  meaning: { tag: "environment" },
  vjp: leaf,
  cost: free,
  fusion: "boundary",
};

const parameter: OpDefinition<"parameter"> = {
  name: "parameter",
  category: "structure",
  documentation: {
    summary: "a weight, by its name in the checkpoint; its dtype is how it is stored",
    inputs: [],
    result: "of the given type",
  },
  arity: none,
  infer: (_, { dtype, axes }) => distinctAxes(dtype, axes),
  meaning: { tag: "environment" },
  vjp: leaf,
  cost: free,
  fusion: "boundary",
};

const constant: OpDefinition<"constant"> = {
  name: "constant",
  category: "structure",
  documentation: { summary: "one number", inputs: [], result: "a scalar of the given dtype" },
  arity: none,
  infer: (_, { dtype }) => ({ dtype, axes: [] }),
  meaning: {
    tag: "reference",
    reference: (_, { value, dtype }) => ({ dtype, axes: [], data: Float64Array.of(constantValue(value)) }),
  },
  vjp: stop("a number of the model's own"),
  cost: free,
  fusion: "map",
};

/** The number behind a constant's attribute; JSON has no spelling for infinities. */
export function constantValue(value: number | "inf" | "-inf" | "nan"): number {
  if (value === "inf") return Number.POSITIVE_INFINITY;
  if (value === "-inf") return Number.NEGATIVE_INFINITY;
  return value === "nan" ? Number.NaN : value;
}

const iota: OpDefinition<"iota"> = {
  name: "iota",
  category: "structure",
  documentation: { summary: "0, 1, 2, ... along an axis", inputs: [], result: "i32[axis]" },
  arity: none,
  infer: (_, { axis }) => ({ dtype: "i32", axes: [axis] }),
  meaning: {
    tag: "reference",
    reference: (_, { axis }, { symbols }) => {
      const size = sizeFor(axis.size, symbols);
      return {
        dtype: "i32",
        axes: [{ name: axis.name, size }],
        data: Float64Array.from({ length: size }, (_unused, i) => i),
      };
    },
  },
  vjp: integers,
  cost: free,
  fusion: "map",
};

const symbol: OpDefinition<"symbol"> = {
  name: "symbol",
  category: "structure",
  documentation: { summary: "the value of a run-time symbol", inputs: [], result: "i32[]" },
  arity: none,
  infer: () => ({ dtype: "i32", axes: [] }),
  meaning: {
    tag: "reference",
    reference: (_, { name }, { symbols }) => {
      const value = symbols.get(name);
      if (value === undefined) throw new Error(`[symbol] "${name}" must be given a value`);
      return { dtype: "i32", axes: [], data: Float64Array.of(value) };
    },
  },
  vjp: integers,
  cost: free,
  fusion: "map",
};

const position: OpDefinition<"position"> = {
  name: "position",
  category: "composite",
  documentation: {
    summary: "the absolute position of each element of an axis: 0, 1, 2, ... until a pass says otherwise",
    inputs: [],
    result: "i32[axis]",
  },
  arity: none,
  infer: (_, { axis }) => ({ dtype: "i32", axes: [axis] }),
  meaning: { tag: "definition", define: (builder, _, { axis }) => builder.add("iota", [], { axis }) },
  vjp: integers,
  cost: free,
  fusion: "map",
};

const stateRead: OpDefinition<"stateRead"> = {
  name: "stateRead",
  category: "state",
  documentation: { summary: "the present value of a state", inputs: [], result: "of the state's type" },
  arity: none,
  infer: (_, { dtype, axes }) => distinctAxes(dtype, axes),
  meaning: { tag: "environment" },
  vjp: leaf,
  cost: free,
  fusion: "boundary",
};

const stateWrite: OpDefinition<"stateWrite"> = {
  name: "stateWrite",
  category: "state",
  documentation: {
    summary: "replaces the value of a state",
    inputs: ["x: of the state's type"],
    result: "x",
  },
  arity: one,
  infer: ([x]) => x!,
  meaning: { tag: "environment" },
  vjp: passOn,
  cost: free,
  fusion: "boundary",
};

const stateAppend: OpDefinition<"stateAppend"> = {
  name: "stateAppend",
  category: "state",
  documentation: {
    summary: "writes rows into a state from index `past` on",
    inputs: ["x: [axis, ...]"],
    result: "the state up to and including the new rows",
  },
  arity: one,
  infer: ([x], { axis, into, axes, dtype }) => {
    if (findAxis(x!, axis) === undefined) return missingAxis(x!, axis);
    const state = { dtype, axes };
    if (findAxis(state, into) === undefined) return missingAxis(state, into);
    const extra = x!.axes.find((other) => other.name !== axis && findAxis(state, other.name) === undefined);
    if (extra !== undefined) return missingAxis(state, extra.name);
    for (const other of axes) {
      if (other.name === into) continue;
      const found = findAxis(x!, other.name);
      if (found === undefined) return missingAxis(x!, other.name);
      if (!typeEquals({ dtype, axes: [found] }, { dtype, axes: [other] })) {
        return `axis "${other.name}" must have the state's size`;
      }
    }
    return { dtype, axes };
  },
  meaning: { tag: "environment" },
  vjp: { tag: "missing", reason: "a cache is for generation: train without kvCache" },
  cost: free,
  fusion: "boundary",
};

export const structureOps = { input, parameter, constant, iota, symbol, position };
export const stateOps = { stateRead, stateWrite, stateAppend };
