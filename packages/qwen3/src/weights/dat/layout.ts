/** Where everything of a `.dat` stream comes to lie, known from shapes alone: writers put each tensor at its place. */
import type { FileLayout } from "../file-layout.ts";
import { type DatElementType, datElements } from "./element-types.ts";
import { encodeLeb128 } from "./leb128.ts";

export interface DatTensor {
  readonly key: string;
  readonly elementType: DatElementType;
  readonly shape: readonly number[];
}

export function datBytes({ elementType, shape }: Pick<DatTensor, "elementType" | "shape">): number {
  return shape.reduce((product, size) => product * size, datElements[elementType].bytes as number);
}

/** Tensors in the order of the stream; keys are not empty and each is there once. */
export function datLayout(tensors: readonly DatTensor[]): FileLayout {
  const fixed: { at: number; bytes: Uint8Array }[] = [];
  const begins: number[] = [];
  let at = 0;
  const put = (bytes: Uint8Array) => {
    fixed.push({ at, bytes });
    at += bytes.length;
  };
  put(Uint8Array.from(encodeLeb128(tensors.length)));
  for (const tensor of tensors) {
    const key = new TextEncoder().encode(tensor.key);
    const { elementType, shape } = tensor;
    put(
      Uint8Array.from([
        ...encodeLeb128(key.length),
        ...key,
        ...[elementType, shape.length, ...shape].flatMap(encodeLeb128),
      ]),
    );
    begins.push(at);
    at += datBytes(tensor);
  }
  return { bytes: at, fixed, begins };
}
