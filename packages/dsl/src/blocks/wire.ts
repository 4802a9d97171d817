/** Wires as data: making, printing and comparing what flows between blocks. */
import { type Axis, axisEquals, formatAxis } from "../axis.ts";
import type { AnyWire, TensorWire, TupleWire, WireKind, WireSpec } from "./types.ts";

/** A tensor with these trailing axes, float unless said otherwise. */
export function tensorWire(axes: readonly Axis[], kind: WireKind = "float", lead?: string): TensorWire {
  const base = { tag: "tensor", kind, axes: Object.freeze([...axes]) } as const;
  return Object.freeze(lead === undefined ? base : { ...base, lead });
}

export function tupleWire(wires: readonly WireSpec[]): TupleWire {
  return Object.freeze({ tag: "tuple", wires: Object.freeze([...wires]) });
}

export function anyWire(variable = ""): AnyWire {
  return Object.freeze({ tag: "any", variable });
}

/**
 * `[..., heads, headDim]`, `int [...]`, `([..., a], [..., b])`. The dots stand for the leading axes that pass through.
 * With sizes: `[..., heads=16, headDim=128]`.
 */
export function formatWire(
  wire: WireSpec,
  options: { readonly sizes?: boolean; readonly closed?: boolean } = {},
): string {
  switch (wire.tag) {
    case "tensor": {
      const names = wire.axes.map((axis) => (options.sizes ? formatAxis(axis) : axis.name));
      const list = `[${[...(options.closed ? [] : ["..."]), ...names].join(", ")}]`;
      return wire.kind === "float" ? list : `${wire.kind} ${list}`;
    }
    case "tuple":
      return `(${wire.wires.map((one) => formatWire(one, options)).join(", ")})`;
    case "any":
      return "anything";
    default:
      return wire satisfies never;
  }
}

/** The same axes in names and sizes, the same kinds and the same leads. */
export function wireEquals(a: WireSpec, b: WireSpec): boolean {
  if (a.tag === "tensor" && b.tag === "tensor") {
    return (
      a.kind === b.kind &&
      a.lead === b.lead &&
      a.axes.length === b.axes.length &&
      a.axes.every((axis, index) => axisEquals(axis, b.axes[index]!))
    );
  }
  if (a.tag === "tuple" && b.tag === "tuple") {
    return (
      a.wires.length === b.wires.length && a.wires.every((one, index) => wireEquals(one, b.wires[index]!))
    );
  }
  return a.tag === "any" && b.tag === "any" && a.variable === b.variable;
}

/** All tensors of a wire in order, tuples opened. An `any` wire counts as one. */
export function flattenWire(wire: WireSpec): readonly (TensorWire | AnyWire)[] {
  return wire.tag === "tuple" ? wire.wires.flatMap(flattenWire) : [wire];
}
