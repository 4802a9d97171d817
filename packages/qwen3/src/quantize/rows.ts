/** Rows of a matrix in a file, a megabyte at a time. */
import type { FilePart, QuantizedLinear, TensorEntry } from "../weights/index.ts";
import { readPart } from "../weights/index.ts";

/** So many elements are in memory at once, which a cache has room for; a row is never cut. */
const pieceElements = 2 ** 18;

export interface Rows {
  readonly first: number;
  readonly count: number;
}

export function* rowPieces([rows, columns]: readonly number[]): Generator<Rows> {
  const most = Math.max(1, Math.floor(pieceElements / columns!));
  for (let first = 0; first < rows!; first += most) yield { first, count: Math.min(most, rows! - first) };
}

export const partOf = ({ name, file, begin, end }: TensorEntry): FilePart => ({
  name,
  path: file,
  offset: begin,
  bytes: end - begin,
});

/** The bytes of some rows of a part that has `rows` of them. */
export function rowBytes(
  part: FilePart,
  rows: number,
  { first, count }: Rows,
): Promise<Uint8Array<ArrayBuffer>> {
  const each = part.bytes / rows;
  return readPart(part, first * each, count * each);
}

/** Elements that can be encoded, as native code calls them. */
export type FloatDtype = "f32" | "bf16" | "f16";

/** Some rows of an F32, F16 or BF16 matrix, as they are stored. */
export const storedRows = (entry: TensorEntry, rows: Rows) => rowBytes(partOf(entry), entry.shape[0]!, rows);

export const codesOfRows = (linear: QuantizedLinear, rows: Rows) =>
  rowBytes(linear.codes, linear.shape[0], rows);
