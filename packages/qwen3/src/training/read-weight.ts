/** A weight's values in memory, as they are stored, a part at a time. */
import { closeSync, openSync } from "node:fs";
import type { DataWeight, FileWeight, StateArray, Weight } from "@weft/runtime";
import { messageOf, userProblem, WeftError } from "../config/problems.ts";
import { readFully } from "../weights/safetensors.ts";

/** Memory of a large array is given back late: whole tables would stand beside the states that they were copied to. */
const partBytes = 4 << 20;

/** What parts are read into; one for all weights. */
export const partMemory = (): ArrayBuffer => new ArrayBuffer(partBytes);

/**
 * Bytes of a file, or a copy of bytes in memory.
 * @param length default: to the end
 * @throws WeftError where the file cannot be read any more
 */
export function readBytes(
  source: ArrayBufferView | { readonly path: string; readonly offset: number; readonly bytes: number },
  from = 0,
  length = (ArrayBuffer.isView(source) ? source.byteLength : source.bytes) - from,
): Uint8Array<ArrayBuffer> {
  if (ArrayBuffer.isView(source)) {
    return new Uint8Array(source.buffer, source.byteOffset + from, length).slice() as Uint8Array<ArrayBuffer>;
  }
  const { path, offset } = source;
  const bytes = new Uint8Array(length);
  const descriptor = attempt(path, () => openSync(path, "r"));
  try {
    attempt(path, () => readFully(descriptor, bytes, offset + from));
  } finally {
    closeSync(descriptor);
  }
  return bytes;
}

/**
 * The values of a plain weight in C order, whole.
 * @throws WeftError where the file cannot be read any more
 */
export function readWeight(weight: Weight): StateArray {
  if (weight.kind === "data") return copyOf(weight);
  const memory = new ArrayBuffer(weight.bytes);
  const [whole] = partsOfFile(weight, memory);
  return whole?.values ?? arrayOf(weight.dtype, memory, 0);
}

interface WeightPart {
  /** The first element. */
  readonly at: number;
  readonly values: StateArray;
}

/**
 * The values of a plain weight in C order, of a file a part at a time, valid until the next one is asked for.
 * @param memory of partMemory
 * @throws WeftError where the file cannot be read any more
 */
export function weightParts(weight: Weight, memory: ArrayBuffer): Iterable<WeightPart> {
  return weight.kind === "file" ? partsOfFile(weight, memory) : [{ at: 0, values: copyOf(weight) }];
}

function copyOf({ data, dtype }: DataWeight): StateArray {
  return arrayOf(
    dtype,
    data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength) as ArrayBuffer,
    data.byteLength,
  );
}

function* partsOfFile({ path, offset, bytes, dtype }: FileWeight, memory: ArrayBuffer): Iterable<WeightPart> {
  const most = memory.byteLength;
  const descriptor = attempt(path, () => openSync(path, "r"));
  try {
    for (let begin = 0; begin < bytes; begin += most) {
      const count = Math.min(most, bytes - begin);
      attempt(path, () => readFully(descriptor, new Uint8Array(memory, 0, count), offset + begin));
      const values = arrayOf(dtype, memory, count);
      yield { at: begin / values.BYTES_PER_ELEMENT, values };
    }
  } finally {
    closeSync(descriptor);
  }
}

function arrayOf(dtype: Weight["dtype"], memory: ArrayBuffer, bytes: number): StateArray {
  if (dtype === "f32") return new Float32Array(memory, 0, bytes / 4);
  if (dtype === "i8") return new Int8Array(memory, 0, bytes);
  return dtype === "i32" ? new Int32Array(memory, 0, bytes / 4) : new Uint16Array(memory, 0, bytes / 2);
}

function attempt<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new WeftError([
      userProblem(path, "must stay as it was when it was opened", {
        given: messageOf(error),
        remedy: "do not change a checkpoint while it is used",
      }),
    ]);
  }
}
