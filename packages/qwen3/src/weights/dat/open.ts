/**
 * Reads the table of a `.dat` stream, as TorchSharp saves a module: a count, then for each tensor its key, element
 * type, rank, sizes and bytes. Numbers are LEB128; there is no header, padding or checksum, so nothing of it is
 * believed before it is seen to fit into the file.
 */
import { fstatSync, readSync } from "node:fs";
import * as Either from "fp-ts/lib/Either.js";
import { type Checked, type Problems, refuse, WeftError } from "../../config/problems.ts";
import type { TensorEntry } from "../header.ts";
import { reading } from "../reading.ts";
import { type DatElementType, datElements, isDatElementType } from "./element-types.ts";
import { decodeLeb128, longestLeb128 } from "./leb128.ts";

/** A tensor of the stream; `name` is its key. */
export interface DatEntry extends TensorEntry {
  readonly elementType: DatElementType;
}

export interface DatFile {
  readonly file: string;
  /** In the order of the stream. */
  readonly entries: readonly DatEntry[];
  readonly bytes: number;
}

const refetch = "the file is damaged, incomplete or no such stream: fetch it again";
/** Longer than any parameter's name. */
const longestKey = 65_536;
const mostDimensions = 64;
/** A key of one byte, its length, a type and a rank: no tensor takes less. */
const leastEntry = 4;
/** Keys and sizes are short; the bytes between them are skipped. */
const windowBytes = 4096;

/**
 * Left: absent, unreadable, cut off or lying anywhere, an unknown element type, two tensors of one key, bytes behind the
 * last tensor. A problem names the key and the byte of the file.
 */
export function openDat(file: string): Either.Either<Problems, DatFile> {
  return reading(file, (descriptor) => readTable(new Cursor(descriptor, file)));
}

/** A place in the file. Whatever does not fit is thrown as a WeftError, with the key that was being read. */
class Cursor {
  at = 0;
  key: string | undefined;
  readonly size: number;
  readonly file: string;
  readonly #descriptor: number;
  #window = new Uint8Array(0);
  #windowAt = 0;

  constructor(descriptor: number, file: string) {
    const status = fstatSync(descriptor);
    this.#descriptor = descriptor;
    this.file = file;
    if (!status.isFile()) this.fail("must be a regular file", "a directory or device");
    this.size = status.size;
  }

  fail(requirement: string, given: string): never {
    const place = { given, location: `byte ${this.at}`, remedy: refetch };
    const refused = refuse(
      this.file,
      requirement,
      this.key === undefined ? place : { ...place, path: this.key },
    );
    throw new WeftError((refused as Either.Left<Problems>).left);
  }

  get left(): number {
    return this.size - this.at;
  }

  /** At most `length` bytes from here on, fewer where the file ends. */
  #look(length: number): Uint8Array {
    const wanted = Math.min(length, this.left);
    const begin = this.at - this.#windowAt;
    if (begin >= 0 && begin + wanted <= this.#window.length) {
      return this.#window.subarray(begin, begin + wanted);
    }
    const window = new Uint8Array(Math.min(Math.max(wanted, windowBytes), this.left));
    for (let done = 0; done < window.length; ) {
      const count = readSync(this.#descriptor, window, done, window.length - done, this.at + done);
      if (count === 0) throw new Error(`the file ends at byte ${this.at + done}`);
      done += count;
    }
    this.#window = window;
    this.#windowAt = this.at;
    return window.subarray(0, wanted);
  }

  number(what: string): number {
    const read = decodeLeb128(this.#look(longestLeb128), 0);
    if (read === "short") this.fail(`${what} must be in the file`, `a file of ${this.size} bytes`);
    if (read === "wide") this.fail(`${what} must be a number below 2^53`, "more bits");
    this.at += read.length;
    return read.value;
  }

  bytes(length: number): Uint8Array {
    const bytes = this.#look(length);
    this.at += length;
    return bytes;
  }
}

function readTable(cursor: Cursor): Checked<DatFile> {
  const count = cursor.number("the count of tensors");
  if (count * leastEntry > cursor.left) {
    cursor.at = 0;
    cursor.fail(
      "as many tensors as the count says must fit into the file",
      `${count}, in ${cursor.size} bytes`,
    );
  }
  const entries: DatEntry[] = [];
  const keys = new Set<string>();
  for (let index = 0; index < count; index++) {
    cursor.key = undefined;
    const entry = readEntry(cursor, keys);
    keys.add(entry.name);
    entries.push(entry);
  }
  cursor.key = undefined;
  if (cursor.left > 0)
    cursor.fail(
      "the file must end behind its last tensor",
      `${cursor.left} more bytes behind ${count} tensors`,
    );
  return Either.right({ file: cursor.file, entries, bytes: cursor.size });
}

function readEntry(cursor: Cursor, keys: ReadonlySet<string>): DatEntry {
  const name = readKey(cursor);
  if (keys.has(name)) cursor.fail("each key must be there once", "a second tensor");
  cursor.key = name;
  const typeAt = cursor.at;
  const type = cursor.number("the element type");
  if (!isDatElementType(type)) {
    cursor.at = typeAt;
    cursor.fail(`the element type must be one of ${Object.keys(datElements).join(", ")}`, `${type}`);
  }
  const rank = cursor.number("the rank");
  if (rank > mostDimensions) cursor.fail(`the rank must be at most ${mostDimensions}`, `${rank}`);
  const shape = Array.from({ length: rank }, () => cursor.number("a size"));
  const element = datElements[type];
  const bytes = shape.reduce((product, size) => product * size, element.bytes);
  if (!(bytes <= cursor.left)) {
    cursor.fail(
      `the ${element.name} [${shape.join(", ")}] must lie in the file`,
      `${bytes} bytes, of which ${cursor.left} are there`,
    );
  }
  const begin = cursor.at;
  cursor.at += bytes;
  return {
    name,
    dtype: element.dtype,
    shape,
    begin,
    end: cursor.at,
    file: cursor.file,
    elementType: type,
  };
}

function readKey(cursor: Cursor): string {
  const at = cursor.at;
  const length = cursor.number("the length of a key");
  if (length === 0 || length > longestKey || length > cursor.left) {
    cursor.at = at;
    const most = Math.min(longestKey, cursor.left);
    cursor.fail(`a key must have from 1 to ${most} bytes here`, `${length}`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(cursor.bytes(length));
  } catch {
    cursor.at = at;
    return cursor.fail("a key must be UTF-8", "other bytes");
  }
}
