/** `dot` contracts axes by name; ONNX's MatMul the last of one with the last but one of the other. */
import { type Axis, withoutAxes } from "@weft/dsl";
import type { Site } from "./rules.ts";
import type { OnnxWriter, Tensor } from "./writer.ts";

/**
 * Both sides as [batch..., rows, inner] and [batch..., inner, columns]: axes that both keep are the batch, those that
 * one side alone has are its rows or columns.
 */
export function dotToOnnx({ writer, inputs, attributes: { contract }, type }: Site<"dot">): string {
  const [a, b] = inputs.map((one) => writer.wide(one)) as [Tensor, Tensor];
  const inner = contract.map((name) => a.type.axes.find((one) => one.name === name)!);
  const [keptA, keptB] = [withoutAxes(a.type, contract), withoutAxes(b.type, contract)];
  const isIn = (axes: readonly Axis[]) => (axis: Axis) => axes.some((one) => one.name === axis.name);
  const batch = keptA.filter(isIn(keptB));
  const rows = keptA.filter((one) => !isIn(keptB)(one));
  const columns = keptB.filter((one) => !isIn(keptA)(one));
  const left = grouped(writer, a, [...batch.map((one) => [one]), rows, inner]);
  const right = grouped(writer, b, [...batch.map((one) => [one]), inner, columns]);
  const product = writer.node("MatMul", [left, right]);
  const axes = [...batch, ...rows, ...columns];
  const name =
    rows.length === 1 && columns.length === 1
      ? product
      : writer.reshape(
          product,
          axes.map((one) => [one]),
        );
  return writer.transpose({ name, type: { dtype: "f32", axes } }, type.axes).name;
}

/** The tensor with the axes of each group next to each other, and each group as one dimension. */
function grouped(writer: OnnxWriter, x: Tensor, groups: readonly (readonly Axis[])[]): string {
  const ordered = writer.transpose(x, groups.flat());
  return groups.every((group) => group.length === 1) ? ordered.name : writer.reshape(ordered.name, groups);
}
