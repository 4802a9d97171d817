/** Writes safetensors files whole or not at all. */
import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import * as Either from "fp-ts/lib/Either.js";
import { type Checked, messageOf, type Problems, refuse, userProblem } from "../config/problems.ts";
import { bytesOf, dtypeBits, float32ToBfloat16, float32ToFloat16, type TensorDtype } from "./dtype.ts";

export interface TensorToWrite {
  readonly name: string;
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  /**
   * Row-major. A `Float32Array` is rounded to nearest even for F16 and BF16; any other array is taken as the
   * little-endian bytes of `dtype`.
   */
  readonly data: ArrayBufferView;
}

/**
 * Writes tensors in the order given (wider element types first, so that each is aligned), under a temporary name in
 * the same directory that is renamed when everything is on the disk: a full disk or a crash leaves the former file.
 *
 * Left: a duplicate or empty name, data that does not fill its shape, a disk that refuses.
 */
export function writeSafetensors(
  file: string,
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): Either.Either<Problems, void> {
  const ordered = [...tensors].sort((a, b) => dtypeBits[b.dtype] - dtypeBits[a.dtype]);
  const header: Record<string, unknown> = Object.create(null);
  header.__metadata__ = metadata;
  const chunks: Uint8Array[] = [];
  let offset = 0;
  for (const tensor of ordered) {
    const bytes = encode(tensor, file);
    if (Either.isLeft(bytes)) return bytes;
    if (tensor.name === "" || Object.hasOwn(header, tensor.name)) {
      return refuse(file, "each tensor must have a name of its own", {
        given: JSON.stringify(tensor.name),
        remedy: "rename one of them",
      });
    }
    const end = offset + bytes.right.length;
    header[tensor.name] = { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [offset, end] };
    chunks.push(bytes.right);
    offset = end;
  }
  return writeAtomically(file, [headerBytes(header), ...chunks]);
}

/** The 8-byte length and the header, rounded up with spaces so that data begins at a multiple of 8. */
export function headerBytes(header: Readonly<Record<string, unknown>>): Buffer {
  const json = Buffer.from(JSON.stringify(header));
  const bytes = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, " ");
  bytes.writeBigUInt64LE(BigInt(bytes.length - 8));
  json.copy(bytes, 8);
  return bytes;
}

function encode({ name, dtype, shape, data }: TensorToWrite, file: string): Checked<Uint8Array> {
  const converted =
    data instanceof Float32Array && dtype === "BF16"
      ? float32ToBfloat16(data)
      : data instanceof Float32Array && dtype === "F16"
        ? float32ToFloat16(data)
        : data;
  const expected = bytesOf(
    dtype,
    shape.reduce((product, size) => product * size, 1),
  );
  return converted.byteLength === expected
    ? Either.right(new Uint8Array(converted.buffer, converted.byteOffset, converted.byteLength))
    : Either.left([
        userProblem(file, `data must fill ${dtype} [${shape.join(", ")}], ${expected ?? "?"} bytes`, {
          given: `${converted.byteLength} bytes`,
          path: name,
          remedy: "give as many elements as the shape has",
        }),
      ]);
}

/** Writes chunks one after the other to a temporary file and renames it to `file`. */
function writeAtomically(file: string, chunks: readonly Uint8Array[]): Checked<void> {
  const temporary = `${file}.${process.pid}-${randomBytes(4).toString("hex")}.tmp`;
  try {
    const descriptor = openSync(temporary, "wx");
    try {
      for (const chunk of chunks) {
        for (let done = 0; done < chunk.length; ) {
          done += writeSync(descriptor, chunk, done, Math.min(chunk.length - done, 2 ** 30));
        }
      }
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, file);
    return Either.right(undefined);
  } catch (error) {
    removeQuietly(temporary);
    return refuse(file, "must be writable", {
      given: messageOf(error),
      remedy: "check the directory, its permissions and the free space; nothing was changed",
    });
  }
}

/** Whatever stopped the writing may stop the removal too; the first error is the one to report. */
function removeQuietly(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {}
}
