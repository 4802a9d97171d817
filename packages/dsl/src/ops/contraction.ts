/** Products of tensors: `dot` contracts axes by name, `gather` looks rows up, `scatterAdd` adds rows to where they belong. */
import { type Axis, sizeEquals } from "../axis.ts";
import { elementCount, forEachIndex, stridesOf } from "../graph/tensor-array.ts";
import type { OpDefinition } from "./define.ts";
import { duplicateAxis, findAxis, holdsFloats, isFloat, missingAxis, sizeFor, withoutAxes } from "./shape.ts";
import { dotVjp, gatherVjp, scatterAddVjp } from "./vjp/tensor.ts";

const dot: OpDefinition<"dot"> = {
  name: "dot",
  category: "contraction",
  documentation: {
    summary: "sum of a * b over the contracted axes, matched by name, accumulated in f32",
    inputs: ["a: float[...]", "b: float[...]"],
    result: "f32: the other axes of a, then those of b that a lacks; axes that both keep are a batch",
  },
  arity: { min: 2, max: 2 },
  infer: ([a, b], { contract }) => {
    if (!holdsFloats(a!.dtype) || !holdsFloats(b!.dtype)) return "takes float tensors";
    if (contract.length === 0) return "needs at least one axis to contract";
    if (new Set(contract).size < contract.length) return "must contract each axis once";
    for (const name of contract) {
      const [left, right] = [findAxis(a!, name), findAxis(b!, name)];
      if (left === undefined) return missingAxis(a!, name);
      if (right === undefined) return missingAxis(b!, name);
      if (!sizeEquals(left.size, right.size)) return `axis "${name}" must have one size on both sides`;
    }
    const kept = withoutAxes(a!, contract);
    const added: Axis[] = [];
    for (const one of withoutAxes(b!, contract)) {
      const present = kept.find((other) => other.name === one.name);
      if (present === undefined) added.push(one);
      else if (!sizeEquals(present.size, one.size))
        return `axis "${one.name}" must have one size on both sides`;
    }
    return { dtype: "f32", axes: [...kept, ...added] };
  },
  meaning: {
    tag: "reference",
    reference: ([a, b], { contract }) => {
      const kept = a!.axes.filter((one) => !contract.includes(one.name));
      const axes = [
        ...kept,
        ...b!.axes.filter(
          (one) => !contract.includes(one.name) && !kept.some((other) => other.name === one.name),
        ),
      ];
      const contracted = contract.map((name) => a!.axes.find((one) => one.name === name)!);
      const [aStrides, bStrides] = [stridesOf(a!.axes), stridesOf(b!.axes)];
      const inner = elementCount(contracted);
      const aInner = new Int32Array(inner);
      const bInner = new Int32Array(inner);
      forEachIndex(contracted, [aStrides, bStrides], ([x, y], place) => {
        aInner[place] = x!;
        bInner[place] = y!;
      });
      const data = new Float64Array(elementCount(axes));
      forEachIndex(axes, [aStrides, bStrides], ([x, y], place) => {
        let sum = 0;
        for (let k = 0; k < inner; k++) sum += a!.data[x! + aInner[k]!]! * b!.data[y! + bInner[k]!]!;
        data[place] = sum;
      });
      return { dtype: "f32", axes, data };
    },
  },
  vjp: dotVjp,
  // Two per multiply-add; the contracted extent is counted by the cost model, which knows the attributes.
  cost: { perResult: 2, perInput: 0 },
  fusion: "template",
};

const gather: OpDefinition<"gather"> = {
  name: "gather",
  category: "contraction",
  documentation: {
    summary: "the slices of a table that the indices name",
    inputs: ["table: [axis, ...]", "indices: i32[...], each at least 0 and below the axis' size"],
    result: "like the table: the axes of the indices, then the table's other axes",
  },
  arity: { min: 2, max: 2 },
  infer: ([table, indices], { axis }) => {
    if (indices!.dtype !== "i32") return "the indices must be i32";
    if (findAxis(table!, axis) === undefined) return missingAxis(table!, axis);
    const axes = [...indices!.axes, ...withoutAxes(table!, [axis])];
    const twice = duplicateAxis(axes);
    return twice === undefined ? { dtype: table!.dtype, axes } : `axis "${twice}" must not be in both inputs`;
  },
  meaning: {
    tag: "reference",
    reference: ([table, indices], { axis }) => {
      const rest = table!.axes.filter((one) => one.name !== axis);
      const bound = table!.axes.find((one) => one.name === axis)!.size;
      const axes = [...indices!.axes, ...rest];
      const strides = stridesOf(table!.axes);
      const step = strides.get(axis)!;
      const data = new Float64Array(elementCount(axes));
      forEachIndex(
        axes,
        [stridesOf(indices!.axes), new Map(rest.map((one) => [one.name, strides.get(one.name)!]))],
        ([index, offset], place) => {
          const row = indices!.data[index!]!;
          if (row < 0 || row >= bound) {
            throw new RangeError(`[gather] an index must be at least 0 and below ${bound}; given ${row}`);
          }
          data[place] = table!.data[row * step + offset!]!;
        },
      );
      return { dtype: table!.dtype, axes, data };
    },
  },
  vjp: gatherVjp,
  cost: { perResult: 0, perInput: 0 },
  fusion: "map",
};

const scatterAdd: OpDefinition<"scatterAdd"> = {
  name: "scatterAdd",
  category: "contraction",
  documentation: {
    summary: "adds each slice of the updates to the slice of a table of zeros that its index names",
    inputs: [
      "updates: float[...], the axes of the indices and others",
      "indices: i32[...], each at least 0 and below the axis' size",
    ],
    result: "f32: the axis, then the updates' other axes; accumulated in f32",
  },
  arity: { min: 2, max: 2 },
  infer: ([updates, indices], { axis }) => {
    if (!isFloat(updates!.dtype)) return "the updates must be a float tensor";
    if (indices!.dtype !== "i32") return "the indices must be i32";
    for (const one of indices!.axes) {
      const found = findAxis(updates!, one.name);
      if (found === undefined) return missingAxis(updates!, one.name);
      if (!sizeEquals(found.size, one.size)) return `axis "${one.name}" must have one size in both inputs`;
    }
    const names = indices!.axes.map((one) => one.name);
    const axes = [axis, ...withoutAxes(updates!, names)];
    const twice = duplicateAxis(axes);
    return twice === undefined
      ? { dtype: "f32", axes }
      : `axis "${twice}" must not be in the updates already`;
  },
  meaning: {
    tag: "reference",
    reference: ([updates, indices], { axis }, { symbols }) => {
      const bound = sizeFor(axis.size, symbols);
      const rest = updates!.axes.filter((one) => !indices!.axes.some((other) => other.name === one.name));
      const axes = [{ name: axis.name, size: bound }, ...rest];
      const strides = stridesOf(axes);
      const step = strides.get(axis.name)!;
      const own = new Map(rest.map((one) => [one.name, strides.get(one.name)!]));
      const data = new Float64Array(elementCount(axes));
      forEachIndex(updates!.axes, [stridesOf(indices!.axes), own], ([index, offset], place) => {
        const row = indices!.data[index!]!;
        if (row < 0 || row >= bound) {
          throw new RangeError(`[scatterAdd] an index must be at least 0 and below ${bound}; given ${row}`);
        }
        data[row * step + offset!]! += updates!.data[place]!;
      });
      return { dtype: "f32", axes, data };
    },
  },
  vjp: scatterAddVjp,
  cost: { perResult: 0, perInput: 1 },
  fusion: "template",
};

export const contractionOps = { dot, gather, scatterAdd };
