/** What the composites share. */
import { type Axis, axisEquals } from "../../axis.ts";
import type { GraphBuilder } from "../../graph/builder.ts";
import type { NodeId, TensorType } from "../../graph/types.ts";

export const like = (x: TensorType): TensorType => ({ dtype: "f32", axes: x.axes });

export const floats = "takes float tensors";

/** The value in f32, in which composites compute: weights and caches may be stored in less. */
export function inF32(builder: GraphBuilder, x: NodeId): NodeId {
  return builder.type(x).dtype === "f32" ? x : builder.add("cast", [x], { dtype: "f32" });
}

/** The name that a contracted axis has in a weight whose rows carry the same name. */
export function contractedName(name: string, to: readonly string[]): string {
  return to.includes(name) ? `${name}'` : name;
}

export function sameAxes(a: readonly Axis[], b: readonly Axis[]): boolean {
  return a.length === b.length && a.every((one, index) => axisEquals(one, b[index]!));
}
