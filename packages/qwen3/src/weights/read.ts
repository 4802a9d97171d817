/** Reads stored tensors into memory, for tests, the reference interpreter and tools; the runtime maps files itself. */
import { closeSync, openSync } from "node:fs";
import { messageOf, unsupportedProblem, userProblem, WeftError } from "../config/problems.ts";
import { bfloat16ToFloat32, float16ToFloat32 } from "./dtype.ts";
import type { TensorEntry } from "./header.ts";
import { readFully } from "./safetensors.ts";

/** The bytes of a tensor as they are stored. Throws a `WeftError` where the file cannot be read any more. */
export function readTensorBytes(entry: TensorEntry): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(entry.end - entry.begin);
  try {
    const descriptor = openSync(entry.file, "r");
    try {
      readFully(descriptor, bytes, entry.begin);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw new WeftError([
      userProblem(entry.file, "must stay as it was when it was opened", {
        given: messageOf(error),
        path: entry.name,
        remedy: "do not change a checkpoint while it is used",
      }),
    ]);
  }
  return bytes;
}

/**
 * The values of an F32, F16 or BF16 tensor, row-major, converted exactly. Throws a `WeftError` for another type or
 * where the file cannot be read any more.
 */
export function readTensor(entry: TensorEntry): Float32Array {
  switch (entry.dtype) {
    case "F32":
      return new Float32Array(readTensorBytes(entry).buffer);
    case "BF16":
      return bfloat16ToFloat32(new Uint16Array(readTensorBytes(entry).buffer));
    case "F16":
      return float16ToFloat32(new Uint16Array(readTensorBytes(entry).buffer));
    default:
      throw new WeftError([
        unsupportedProblem(entry.file, "only F32, F16 and BF16 can be read as numbers", {
          given: entry.dtype,
          path: entry.name,
          remedy: "convert the tensor",
        }),
      ]);
  }
}
