/** Writes a token file document by document: nothing but the current document is in memory. */
import { createHash, randomBytes } from "node:crypto";
import { closeSync, createReadStream, openSync, rmSync, writeSync } from "node:fs";
import type { Checked } from "../../config/problems.ts";
import type { TensorDtype } from "../../weights/dtype.ts";
import { type WrittenFile, writeSafetensorsStream } from "../../weights/write-stream.ts";
import { tokenFileFormat, type tokenTensors } from "./token-file.ts";

/** Tokens that wait to be written. */
const pending = 64 * 1024;

type PartName = keyof typeof tokenTensors;

/** A tensor that grows in a file of its own until its size is known. */
class Part {
  readonly file: string;
  bytes = 0;
  #descriptor: number | undefined;

  constructor(file: string) {
    this.file = file;
    this.#descriptor = openSync(file, "wx");
  }

  write({ buffer, byteOffset, byteLength }: ArrayBufferView): void {
    const bytes = new Uint8Array(buffer, byteOffset, byteLength);
    for (let done = 0; done < bytes.length; ) done += writeSync(this.#descriptor!, bytes, done);
    this.bytes += bytes.length;
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}

export class TokenWriter implements Disposable {
  readonly #target: string;
  readonly #wide: boolean;
  readonly #parts: Readonly<Record<PartName, Part>>;
  readonly #content = createHash("sha256");
  #document = createHash("sha256");
  #ids: number[] = [];
  #flags: number[] = [];
  #length = 0;
  tokens = 0;
  documents = 0;

  /**
   * @param vocabSize decides how wide a token is stored
   * @throws NodeJS.ErrnoException where files cannot be made beside the target
   */
  constructor(target: string, vocabSize: number) {
    this.#target = target;
    this.#wide = vocabSize > 65_536;
    const stem = `${target}.${process.pid}-${randomBytes(4).toString("hex")}`;
    const part = (name: string) => new Part(`${stem}.${name}.tmp`);
    this.#parts = {
      tokens: part("tokens"),
      learn: part("learn"),
      begins: part("begins"),
      hashes: part("hashes"),
    };
  }

  /** Tokens of the current document; `learn` for all of them. */
  add(ids: readonly number[], learn: boolean): void {
    for (const id of ids) {
      this.#ids.push(id);
      this.#flags.push(learn ? 1 : 0);
    }
    this.#length += ids.length;
    if (this.#ids.length >= pending) this.#flush();
  }

  /** Ends the current document; one without tokens is none. */
  endDocument(): void {
    if (this.#length === 0) return;
    this.#flush();
    const begin = BigInt64Array.of(BigInt(this.tokens));
    this.#parts.begins.write(begin);
    this.#content.update(new Uint8Array(begin.buffer));
    this.#parts.hashes.write(new Uint8Array(this.#document.digest().subarray(0, 4)));
    this.#document = createHash("sha256");
    this.tokens += this.#length;
    this.#length = 0;
    this.documents++;
  }

  #flush(): void {
    const tokens = this.#wide ? Int32Array.from(this.#ids) : Uint16Array.from(this.#ids);
    const flags = Uint8Array.from(this.#flags);
    this.#parts.tokens.write(tokens);
    this.#parts.learn.write(flags);
    // The hashes are over four bytes a token, so that they do not depend on how tokens are stored.
    const words = new Uint8Array(Int32Array.from(this.#ids).buffer);
    for (const hash of [this.#content, this.#document]) hash.update(words).update(flags);
    this.#ids = [];
    this.#flags = [];
  }

  /** Puts the parts together. Left: a disk that refuses; there is no file then. */
  async finish(metadata: Readonly<Record<string, string>>): Promise<Checked<WrittenFile>> {
    this.#parts.begins.write(BigInt64Array.of(BigInt(this.tokens)));
    for (const part of Object.values(this.#parts)) part.close();
    const tensor = (name: PartName, dtype: TensorDtype, width: number) => ({
      name,
      dtype,
      shape: [this.#parts[name].bytes / width],
      pieces: () => createReadStream(this.#parts[name].file),
    });
    return writeSafetensorsStream(
      this.#target,
      [
        tensor("begins", "I64", 8),
        tensor("hashes", "U32", 4),
        this.#wide ? tensor("tokens", "I32", 4) : tensor("tokens", "U16", 2),
        tensor("learn", "U8", 1),
      ],
      { ...metadata, format: tokenFileFormat, content: this.#content.digest("hex") },
    );
  }

  /** Takes the parts away, finished or not. */
  [Symbol.dispose](): void {
    for (const part of Object.values(this.#parts)) {
      part.close();
      rmSync(part.file, { force: true });
    }
  }
}
