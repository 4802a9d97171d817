/** Bytes of a file part, without blocking the event loop. */
import { open } from "node:fs/promises";
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
  const bytes = new Uint8Array(length);
  try {
    const file = await open(part.path, "r");
    try {
      for (let done = 0; done < length; ) {
        const at = part.offset + from + done;
        const { bytesRead } = await file.read(bytes, done, Math.min(length - done, 2 ** 30), at);
        if (bytesRead === 0) throw new Error(`the file ends at byte ${at}`);
        done += bytesRead;
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new WeftError([
      userProblem(part.path, "must stay as it was when it was opened", {
        given: messageOf(error),
        path: part.name,
        remedy: "do not change a checkpoint while it is used",
      }),
    ]);
  }
  return bytes;
}
