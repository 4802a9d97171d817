/** What a checkpoint holds, to compare two of them whatever the order and the places of their tensors. */
import { openCheckpoint, readTensorBytes } from "@weft/qwen3";
import { right } from "../weights/files.ts";

export interface HeldTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

export function tensorsOf(path: string): ReadonlyMap<string, HeldTensor> {
  const entries = [...right(openCheckpoint(path)).tensors.values()];
  return new Map(
    entries
      .map((entry): [string, HeldTensor] => [
        entry.name,
        { dtype: entry.dtype, shape: entry.shape, bytes: readTensorBytes(entry) },
      ])
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}
