/** Rows of a matrix in a file, a megabyte at a time. */
import type { FilePart, QuantizedLinear, TensorEntry } from "../weights/index.ts";
import { type Piece, readPieces } from "../weights/index.ts";

/** So many elements are in memory at once, which a cache has room for; a row is never cut. */
const pieceElements = 2 ** 18;

interface Rows {
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

/** A megabyte of rows, with their bytes, which are valid until the next ones are asked for. */
export interface StoredRows extends Rows {
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** All rows of a part that has a matrix of this shape. */
async function* rowsOf(part: FilePart, shape: readonly number[]): AsyncGenerator<StoredRows> {
  const each = part.bytes / shape[0]!;
  const pieces = [...rowPieces(shape)];
  let next = 0;
  const places = pieces.map(({ first, count }): Piece => ({ from: first * each, length: count * each }));
  for await (const bytes of readPieces(part, places)) yield { ...pieces[next++]!, bytes };
}

/** Elements that can be encoded, as native code calls them. */
export type FloatDtype = "f32" | "bf16" | "f16";

/** The rows of an F32, F16 or BF16 matrix, as they are stored. */
export const storedRows = (entry: TensorEntry) => rowsOf(partOf(entry), entry.shape);

export const codesOfRows = (linear: QuantizedLinear) => rowsOf(linear.codes, linear.shape);
