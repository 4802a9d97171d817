/** Bytes of a file part, without blocking the event loop. */
import { type FileHandle, open } from "node:fs/promises";
import { messageOf, userProblem, WeftError } from "../../config/problems.ts";
import type { FilePart } from "./quantized-linear.ts";

/**
 * @param from first byte within the part
 * @param length default: to its end
 * @throws WeftError where the file cannot be read any more.
 */
export async function readPart(
  part: FilePart,
  from = 0,
  length = part.bytes - from,
): Promise<Uint8Array<ArrayBuffer>> {
  for await (const bytes of readPieces(part, [{ from, length }])) return bytes;
  throw new Error("internal: one piece was asked for, none came");
}

/** Some bytes of a part. */
export interface Piece {
  /** First byte within the part. */
  readonly from: number;
  readonly length: number;
}

/**
 * Pieces of a part, one after the other, in memory that is used again: each is valid until the next one is asked for.
 * @throws WeftError where the file cannot be read any more.
 */
export async function* readPieces(
  part: FilePart,
  pieces: Iterable<Piece>,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const file = await attempt(part, () => open(part.path, "r"));
  try {
    let memory = new ArrayBuffer(0);
    for (const { from, length } of pieces) {
      if (memory.byteLength < length) memory = new ArrayBuffer(length);
      const bytes = new Uint8Array(memory, 0, length);
      await attempt(part, () => fill(file, bytes, part.offset + from));
      yield bytes;
    }
  } finally {
    await file.close();
  }
}

async function fill(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const at = position + done;
    const { bytesRead } = await file.read(bytes, done, Math.min(bytes.length - done, 2 ** 30), at);
    if (bytesRead === 0) throw new Error(`the file ends at byte ${at}`);
    done += bytesRead;
  }
}

async function attempt<A>({ path, name }: FilePart, action: () => Promise<A>): Promise<A> {
  try {
    return await action();
  } catch (error) {
    throw new WeftError([
      userProblem(path, "must stay as it was when it was opened", {
        given: messageOf(error),
        path: name,
        remedy: "do not change a checkpoint while it is used",
      }),
    ]);
  }
}
