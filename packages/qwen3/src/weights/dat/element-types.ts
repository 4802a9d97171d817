/** Element types of a `.dat` stream: numbers of torch's ScalarType, and two of our field beside them. */
import type { TensorDtype } from "../dtype.ts";

export interface DatElement {
  /** As it is called in messages. */
  readonly name: string;
  readonly bytes: number;
  /** The same elements as safetensors calls them. */
  readonly dtype: TensorDtype;
}

/** By the number that the stream has. */
export const datElements = {
  0: { name: "u8", bytes: 1, dtype: "U8" },
  1: { name: "i8", bytes: 1, dtype: "I8" },
  2: { name: "i16", bytes: 2, dtype: "I16" },
  3: { name: "i32", bytes: 4, dtype: "I32" },
  4: { name: "i64", bytes: 8, dtype: "I64" },
  5: { name: "f16", bytes: 2, dtype: "F16" },
  6: { name: "f32", bytes: 4, dtype: "F32" },
  7: { name: "f64", bytes: 8, dtype: "F64" },
  11: { name: "bool", bytes: 1, dtype: "BOOL" },
  15: { name: "bf16", bytes: 2, dtype: "BF16" },
  // An element is a pair: two codes in one byte, and sizes count bytes.
  100: { name: "fp4 pair", bytes: 1, dtype: "U8" },
  101: { name: "e4m3fn", bytes: 1, dtype: "F8_E4M3" },
} as const satisfies Readonly<Record<number, DatElement>>;

export type DatElementType = keyof typeof datElements;

export const isDatElementType = (type: number): type is DatElementType => Object.hasOwn(datElements, type);

/** The number for elements of a safetensors type; undefined where the stream has none. */
export function datElementTypeOf(dtype: TensorDtype): DatElementType | undefined {
  if (dtype === "U8") return 0;
  const found = Object.entries(datElements).find(([, element]) => element.dtype === dtype);
  return found === undefined ? undefined : (Number(found[0]) as DatElementType);
}
