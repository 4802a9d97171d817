/**
 * Tokenized data on disk: a safetensors file with every token, whether it is to be learnt, and where documents begin.
 * Node has no memory mapping, and an addon for it would have to guard against files that shrink, so ranges are read by
 * position through one window per tensor: shuffled documents cost one read each, and the system's own cache keeps
 * what is read again.
 */
import { closeSync, openSync } from "node:fs";
import * as Either from "fp-ts/lib/Either.js";
import { type Checked, messageOf, refuse, userProblem, WeftError } from "../../config/problems.ts";
import type { TensorEntry } from "../../weights/header.ts";
import { openSafetensors, readFully } from "../../weights/safetensors.ts";

export const tokenFileFormat = "weft-tokens-1";

/** Element types of the tensors; a token of a vocabulary below 65,536 takes two bytes. */
export const tokenTensors = {
  tokens: ["U16", "I32"],
  learn: ["U8"],
  /** Index of each document's first token, and behind the last one the number of tokens. */
  begins: ["I64"],
  /** The first four bytes of a hash over each document's tokens, the same wherever it stands. */
  hashes: ["U32"],
} as const;

/** Bytes of one window. */
const windowBytes = 64 * 1024;

/** Left: no such file, a damaged one, or a file of another kind. The caller closes it. */
export function openTokenFile(file: string): Checked<TokenFile> {
  const opened = openSafetensors(file);
  if (Either.isLeft(opened)) return opened;
  const { metadata, entries } = opened.right;
  const found = new Map(entries.map((entry) => [entry.name, entry]));
  const sound =
    metadata.format === tokenFileFormat &&
    Object.entries(tokenTensors).every(([name, dtypes]) => {
      const entry = found.get(name);
      return entry?.shape.length === 1 && (dtypes as readonly string[]).includes(entry.dtype);
    }) &&
    found.get("learn")!.shape[0] === found.get("tokens")!.shape[0] &&
    found.get("begins")!.shape[0] === found.get("hashes")!.shape[0]! + 1;
  if (!sound) {
    return refuse(file, `must be a token file as Weft writes it (${tokenFileFormat})`, {
      given: metadata.format ?? "a file without a format",
      remedy: "remove it: it is made again from the data",
    });
  }
  try {
    return Either.right(new TokenFile(file, openSync(file, "r"), found, metadata));
  } catch (error) {
    return refuse(file, "must be readable", { given: messageOf(error), remedy: "check its permissions" });
  }
}

export class TokenFile implements Disposable {
  readonly file: string;
  readonly tokens: number;
  readonly documents: number;
  /** SHA-256 over tokens, learn flags and document lengths: what resuming compares. */
  readonly content: string;
  /** Bad documents that were left out when it was made. */
  readonly skipped: number;
  readonly #descriptor: number;
  readonly #tokens: Window;
  readonly #learn: Window;
  readonly #begins: Window;
  readonly #hashes: Window;
  #open = true;

  constructor(
    file: string,
    descriptor: number,
    entries: ReadonlyMap<string, TensorEntry>,
    metadata: Readonly<Record<string, string>>,
  ) {
    this.file = file;
    this.content = metadata.content ?? "";
    this.skipped = Number(metadata.skipped ?? 0);
    this.#descriptor = descriptor;
    const window = (name: string) => new Window(descriptor, entries.get(name)!);
    this.#tokens = window("tokens");
    this.#learn = window("learn");
    this.#begins = window("begins");
    this.#hashes = window("hashes");
    this.tokens = this.#tokens.length;
    this.documents = this.#hashes.length;
  }

  /** Tokens and learn flags from `begin`, as many as `count`. */
  read(begin: number, count: number): { readonly tokens: Int32Array; readonly learn: Uint8Array } {
    const bytes = this.#tokens.read(begin, count);
    const tokens =
      this.#tokens.width === 2
        ? Int32Array.from(new Uint16Array(bytes.buffer))
        : new Int32Array(bytes.buffer);
    return { tokens, learn: this.#learn.read(begin, count) };
  }

  /** The range of a document's tokens, end exclusive. */
  rangeOf(document: number): { readonly begin: number; readonly end: number } {
    const [begin, end] = new BigInt64Array(this.#begins.read(document, 2).buffer);
    return { begin: Number(begin), end: Number(end) };
  }

  hashOf(document: number): number {
    return new Uint32Array(this.#hashes.read(document, 1).buffer)[0]!;
  }

  [Symbol.dispose](): void {
    if (this.#open) closeSync(this.#descriptor);
    this.#open = false;
  }
}

/** One tensor, read by index through a window that is kept. */
class Window {
  readonly length: number;
  readonly width: number;
  readonly #descriptor: number;
  readonly #entry: TensorEntry;
  #begin = 0;
  #bytes = new Uint8Array(0);

  constructor(descriptor: number, entry: TensorEntry) {
    this.#descriptor = descriptor;
    this.#entry = entry;
    this.length = entry.shape[0]!;
    this.width = this.length === 0 ? 1 : (entry.end - entry.begin) / this.length;
  }

  /** A copy, in a buffer of its own. */
  read(index: number, count: number): Uint8Array<ArrayBuffer> {
    if (index < 0 || index + count > this.length) {
      throw new RangeError(`${this.#entry.name}[${index}, ${index + count}) of ${this.length}`);
    }
    const [begin, bytes] = [index * this.width, count * this.width];
    const result = new Uint8Array(bytes);
    if (bytes > windowBytes) this.#readFile(result, begin);
    else {
      if (begin < this.#begin || begin + bytes > this.#begin + this.#bytes.length) {
        const end = this.#entry.end - this.#entry.begin;
        this.#bytes = new Uint8Array(Math.min(windowBytes, end - begin));
        this.#begin = begin;
        this.#readFile(this.#bytes, begin);
      }
      result.set(this.#bytes.subarray(begin - this.#begin, begin - this.#begin + bytes));
    }
    return result;
  }

  #readFile(target: Uint8Array, begin: number): void {
    try {
      readFully(this.#descriptor, target, this.#entry.begin + begin);
    } catch (error) {
      throw new WeftError([
        userProblem(this.#entry.file, "must stay as it was when it was opened", {
          given: messageOf(error),
          remedy: "do not change token files while they are used; removed, they are made again",
        }),
      ]);
    }
  }
}
