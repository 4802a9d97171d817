/** Writes small `.dat` streams from memory, whole or not at all. */
import type * as Either from "fp-ts/lib/Either.js";
import { type Problems, refuse } from "../../config/problems.ts";
import { type WrittenFile, writeWhole } from "../write-stream.ts";
import { type DatTensor, datBytes, datLayout } from "./layout.ts";

export interface DatTensorToWrite extends DatTensor {
  /** Little-endian, row-major. */
  readonly data: Uint8Array;
}

/** In the order given. Left: an empty or doubled key, data that does not fill its shape, a disk that refuses. */
export async function writeDat(
  file: string,
  tensors: readonly DatTensorToWrite[],
): Promise<Either.Either<Problems, WrittenFile>> {
  const keys = new Set<string>();
  for (const { key, data, ...tensor } of tensors) {
    if (key === "" || keys.has(key)) {
      return refuse(file, "each tensor must have a key of its own", { given: JSON.stringify(key) });
    }
    keys.add(key);
    const bytes = datBytes(tensor);
    if (data.length === bytes) continue;
    return refuse(file, `data must fill [${tensor.shape.join(", ")}], ${bytes} bytes`, {
      given: `${data.length} bytes`,
      path: key,
      remedy: "give as many elements as the shape has",
    });
  }
  const { fixed } = datLayout(tensors);
  return writeWhole(file, async (write) => {
    for (const [index, { bytes }] of fixed.entries()) {
      await write(bytes);
      if (index > 0) await write(tensors[index - 1]!.data);
    }
  });
}
