/** How a checkpoint stores the axes of a parameter. */
import { type Axis, maxSize } from "@weft/dsl";

/** In a checkpoint the heads and the components of a head are one dimension. */
export function storedShape(axes: readonly Axis[]): number[] {
  const shape: number[] = [];
  let before = "";
  for (const { name, size } of axes) {
    if (name === "headDim" && (before === "heads" || before === "kvHeads"))
      shape.push(shape.pop()! * maxSize(size));
    else shape.push(maxSize(size));
    before = name;
  }
  return shape;
}
