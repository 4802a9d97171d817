/** A weight's values in memory, as they are stored. */
import { closeSync, openSync } from "node:fs";
import type { StateArray, Weight } from "@weft/runtime";
import { messageOf, userProblem, WeftError } from "../config/problems.ts";
import { readFully } from "../weights/safetensors.ts";

/** @throws WeftError where the file cannot be read any more */
export function readWeight(weight: Weight): StateArray {
  const bytes = weight.kind === "file" ? readFile(weight) : copyOf(weight.data);
  if (weight.dtype === "f32") return new Float32Array(bytes);
  return weight.dtype === "i32" ? new Int32Array(bytes) : new Uint16Array(bytes);
}

function copyOf(data: ArrayBufferView): ArrayBuffer {
  return data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength) as ArrayBuffer;
}

function readFile({ path, offset, bytes }: Weight & { kind: "file" }): ArrayBuffer {
  const read = new Uint8Array(bytes);
  try {
    const descriptor = openSync(path, "r");
    try {
      readFully(descriptor, read, offset);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw new WeftError([
      userProblem(path, "must stay as it was when it was opened", {
        given: messageOf(error),
        remedy: "do not change a checkpoint while it is used",
      }),
    ]);
  }
  return read.buffer;
}
