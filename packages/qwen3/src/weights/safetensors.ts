/** Opens a safetensors file: reads its header and nothing else, so that opening costs the same for any size. */
import { fstatSync, readSync } from "node:fs";
import type * as Either from "fp-ts/lib/Either.js";
import { type Checked, type Problems, refuse } from "../config/problems.ts";
import { headerLimit, parseSafetensorsHeader, refetch, type SafetensorsFile } from "./header.ts";
import { reading } from "./reading.ts";

/**
 * Reads and validates the header of a safetensors file.
 *
 * Left: the file is absent, unreadable, truncated, or its header lies about the data in any way; the entries'
 * problems all together. Right: entries with absolute byte offsets that are proven to lie in the file (as it was
 * when it was opened) and not to overlap.
 *
 * @example
 * const file = openSafetensors("model.safetensors");
 * if (Either.isRight(file)) for (const { name, dtype, shape } of file.right.entries) console.log(name, dtype, shape);
 */
export function openSafetensors(file: string): Either.Either<Problems, SafetensorsFile> {
  return reading(file, (descriptor) => readHeader(descriptor, file));
}

function readHeader(descriptor: number, file: string): Checked<SafetensorsFile> {
  const status = fstatSync(descriptor);
  if (!status.isFile()) {
    return refuse(file, "must be a regular file", {
      given: "a directory or device",
      remedy: "check the path",
    });
  }
  const size = status.size;
  if (size < 8) {
    return refuse(file, "must begin with the 8-byte length of its header", {
      given: `a file of ${size} bytes`,
      remedy: refetch,
    });
  }
  const prefix = Buffer.alloc(8);
  readFully(descriptor, prefix, 0);
  const length = prefix.readBigUInt64LE();
  if (length > BigInt(size - 8)) {
    return refuse(file, "the header must fit into the file", {
      given: `a header of ${length} bytes in a file of ${size}`,
      remedy: refetch,
    });
  }
  if (length > BigInt(headerLimit)) {
    return refuse(file, `the header must have at most ${headerLimit} bytes`, {
      given: `${length} bytes`,
      remedy: refetch,
    });
  }
  const header = Buffer.alloc(Number(length));
  readFully(descriptor, header, 8);
  return parseSafetensorsHeader(header, size, file);
}

/** Fills the buffer from a file position; throws where the file ends early. */
export function readFully(descriptor: number, buffer: Uint8Array, position: number): void {
  let done = 0;
  while (done < buffer.length) {
    const count = readSync(descriptor, buffer, done, buffer.length - done, position + done);
    if (count === 0) throw new Error(`the file ends at byte ${position + done}`);
    done += count;
  }
}
