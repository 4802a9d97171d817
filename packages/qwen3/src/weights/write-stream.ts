/** Writes safetensors files whose tensors come one after the other, so that only a piece of one is in memory. */
import { createHash, randomBytes } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import * as Either from "fp-ts/lib/Either.js";
import { type Checked, messageOf, refuse, userProblem, WeftError } from "../config/problems.ts";
import { bytesOf, dtypeBits, type TensorDtype } from "./dtype.ts";
import { headerBytes } from "./write.ts";

export interface TensorStream {
  readonly name: string;
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  /** The little-endian bytes, row-major, in pieces of any size; asked for once, when its turn comes. */
  readonly pieces: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

export interface WrittenFile {
  readonly bytes: number;
  /** Of the whole file, hexadecimal. */
  readonly sha256: string;
}

/**
 * Writes tensors, wider element types first, under a temporary name that is renamed when everything is on the disk.
 *
 * Left: a duplicate name, pieces that do not fill their shape, a disk that refuses; the former file is still there
 * then. What `pieces` throws is thrown on.
 */
export async function writeSafetensorsStream(
  file: string,
  tensors: readonly TensorStream[],
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): Promise<Checked<WrittenFile>> {
  const ordered = [...tensors].sort((a, b) => dtypeBits[b.dtype] - dtypeBits[a.dtype]);
  const header: Record<string, unknown> = Object.create(null);
  header.__metadata__ = metadata;
  let offset = 0;
  for (const { name, dtype, shape } of ordered) {
    const bytes = sizeOf({ dtype, shape });
    if (name === "" || Object.hasOwn(header, name) || bytes === undefined) {
      return refuse(file, "each tensor must have a name of its own and whole bytes", {
        given: `${JSON.stringify(name)}, ${dtype} [${shape.join(", ")}]`,
        remedy: "rename one of them",
      });
    }
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes] };
    offset += bytes;
  }
  return writeWhole(file, async (write) => {
    await write(headerBytes(header));
    for (const tensor of ordered) await writePieces(file, tensor, write);
  });
}

function sizeOf({ dtype, shape }: Pick<TensorStream, "dtype" | "shape">): number | undefined {
  return bytesOf(
    dtype,
    shape.reduce((product, size) => product * size, 1),
  );
}

type Write = (bytes: Uint8Array) => Promise<void>;

async function writePieces(file: string, tensor: TensorStream, write: Write): Promise<void> {
  const expected = sizeOf(tensor)!;
  let given = 0;
  for await (const piece of tensor.pieces()) {
    given += piece.length;
    if (given <= expected) await write(piece);
  }
  if (given === expected) return;
  throw new WeftError([
    userProblem(file, `data must fill ${tensor.dtype} [${tensor.shape.join(", ")}], ${expected} bytes`, {
      given: `${given} bytes`,
      path: tensor.name,
      remedy: "give as many elements as the shape has",
    }),
  ]);
}

/** A file that is written whole or not at all; what `fill` throws as a WeftError becomes the left. */
export async function writeWhole(
  file: string,
  fill: (write: Write) => Promise<void>,
): Promise<Checked<WrittenFile>> {
  const temporary = `${file}.${process.pid}-${randomBytes(4).toString("hex")}.tmp`;
  const hash = createHash("sha256");
  let bytes = 0;
  let handle: FileHandle | undefined;
  let writing = true;
  try {
    handle = await open(temporary, "wx");
    const opened = handle;
    await fill(async (piece) => {
      hash.update(piece);
      bytes += piece.length;
      for (let done = 0; done < piece.length; ) {
        // One call takes at most 2 GB.
        const part = Math.min(piece.length - done, 2 ** 30);
        writing = true;
        done += (await opened.write(piece, done, part)).bytesWritten;
        writing = false;
      }
    });
    writing = true;
    await handle.sync();
    await handle.close();
    handle = undefined;
    await rename(temporary, file);
    return Either.right({ bytes, sha256: hash.digest("hex") });
  } catch (error) {
    await handle?.close().catch(() => {});
    await rm(temporary, { force: true }).catch(() => {});
    if (error instanceof WeftError) return Either.left(error.problems);
    if (!writing) throw error;
    return refuse(file, "must be writable", {
      given: messageOf(error),
      remedy: "check the directory, its permissions and the free space; nothing was changed",
    });
  }
}
