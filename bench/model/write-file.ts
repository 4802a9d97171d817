/** Writing large files in pieces: a whole F32 embedding of Qwen3-0.6B would be 600 MB in memory. */
import { closeSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { WeightStream } from "./random.ts";
import { elementsOf, type ModelShape, type ModelTensor } from "./shapes.ts";

/** How numbers are stored in a file. */
export type StoredType = "f32" | "bf16";

export const bytesOf: Readonly<Record<StoredType, number>> = { f32: 4, bf16: 2 };

/** The bytes of a file for bits of bf16 numbers. */
export type Store = (bits: Uint16Array) => Uint8Array;

export const stores: Readonly<Record<StoredType, Store>> = {
  bf16: ({ buffer }) => new Uint8Array(buffer),
  f32: (bits) => new Uint8Array(Uint32Array.from(bits, (one) => one << 16).buffer),
};

const pieceElements = 1 << 20;

export class FileWriter {
  readonly #descriptor: number;
  position = 0;

  constructor(file: string) {
    this.#descriptor = openSync(file, "w");
  }

  bytes(bytes: Uint8Array): void {
    let done = 0;
    while (done < bytes.length) done += writeSync(this.#descriptor, bytes, done);
    this.position += bytes.length;
  }

  /** Zeros up to a position. */
  padTo(position: number): void {
    this.bytes(new Uint8Array(position - this.position));
  }

  /** The random values of one tensor. */
  tensor(tensor: ModelTensor, shape: ModelShape, seed: string, store: Store): void {
    const distribution =
      tensor.kind === "norm" ? { mean: 1, deviation: 0.1 } : { mean: 0, deviation: shape.scale };
    const stream = new WeightStream(seed, tensor.name, distribution);
    for (let left = elementsOf(tensor); left > 0; left -= pieceElements) {
      const bits = new Uint16Array(Math.min(left, pieceElements));
      stream.fill(bits);
      this.bytes(store(bits));
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** Writes beside the place and moves there at the end: what lies in the cache is whole. */
export function writeWhole(file: string, write: (to: FileWriter) => void): void {
  const unfinished = `${file}.unfinished`;
  const to = new FileWriter(unfinished);
  try {
    write(to);
    to.close();
    renameSync(unfinished, file);
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw error;
  }
}
