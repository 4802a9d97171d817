/** The endless row of batches of a data set, and its place in it as a few numbers. */
import { createHash } from "node:crypto";
import * as Either from "fp-ts/lib/Either.js";
import { type Checked, type Problem, unlessProblems, userProblem } from "../../config/problems.ts";
import type { TrainingBatch } from "../batch.ts";
import type { RunIdentity } from "../checkpoint/manifest.ts";
import { SequencePacker } from "./pack.ts";
import { shuffledPlace } from "./shuffle.ts";
import { targetsOf } from "./targets.ts";
import type { TokenFile } from "./token-file.ts";

export interface BatchOptions {
  /** Tokens of one batch, which is one sequence. */
  readonly length: number;
  /** The most tokens that see each other. `length` is a multiple of it. Default: `length`. */
  readonly context?: number;
  /**
   * `documents`: each document by itself, positions from 0, whole or split; what does not fit any more is padding.
   * `concatenate`: all documents as one text, cut every `context` tokens; no padding. Default `documents`.
   */
  readonly packing?: "documents" | "concatenate";
  /** Documents longer than the context, with packing `documents`. Default "error". */
  readonly longDocuments?: "error" | "split";
  /** A new order in each epoch from this seed; undefined: always the order of the files. */
  readonly shuffleSeed?: number;
}

/** Where the next batch begins. */
export interface DataPosition {
  readonly epoch: number;
  /** Place in the epoch's order, from 0. */
  readonly place: number;
  /** Token within the document at that place. */
  readonly offset: number;
}

export const dataStart: DataPosition = { epoch: 0, place: 0, offset: 0 };

/** Long documents that are named one by one. */
const mostNamed = 3;

/**
 * Left: a length or context of nonsense; documents that are longer than the context and not to be split, all counted
 * and the first ones named.
 */
export function batchStream(
  data: TokenFile,
  documents: Uint32Array,
  options: BatchOptions,
): Checked<BatchStream> {
  const { length, context = length, packing = "documents", longDocuments = "error" } = options;
  const problems: Problem[] = [];
  const isSize = (size: number) => Number.isSafeInteger(size) && size >= 2 && size <= 2 ** 24;
  if (!isSize(length)) {
    problems.push(
      userProblem("length", "must be an integer from 2 to 16777216", {
        given: String(length),
        remedy: "give the tokens of one batch",
      }),
    );
  } else if (!isSize(context) || length % context !== 0) {
    problems.push(
      userProblem("context", `must be an integer of at least 2 that divides the length, ${length}`, {
        given: String(context),
        remedy: "change one of the two",
      }),
    );
  } else if (packing === "documents" && longDocuments === "error") {
    problems.push(...longDocumentProblems(data, documents, context));
  }
  return unlessProblems(problems, () => new BatchStream(data, documents, { ...options, context, packing }));
}

function longDocumentProblems(data: TokenFile, documents: Uint32Array, context: number): Problem[] {
  const long: string[] = [];
  let count = 0;
  for (const document of documents) {
    const { begin, end } = data.rangeOf(document);
    if (end - begin <= context) continue;
    if (count++ < mostNamed) long.push(`document ${document + 1} with ${end - begin} tokens`);
  }
  if (count === 0) return [];
  const rest = count > mostNamed ? ` and ${count - mostNamed} more` : "";
  return [
    userProblem("data", `a document must fit into the context, ${context} tokens`, {
      given: `${long.join(", ")}${rest}`,
      remedy: "split long documents, concatenate, or choose a longer context",
    }),
  ];
}

type Resolved = BatchOptions & Required<Pick<BatchOptions, "context" | "packing">>;

export class BatchStream {
  readonly documents: number;
  readonly #data: TokenFile;
  readonly #documents: Uint32Array;
  readonly #options: Resolved;
  #position: DataPosition = dataStart;

  /** Use `batchStream`, which checks. */
  constructor(data: TokenFile, documents: Uint32Array, options: Resolved) {
    this.#data = data;
    this.#documents = documents;
    this.#options = options;
    this.documents = documents.length;
  }

  /** Where the next batch begins; a stream that is put there goes on with the very same batches. */
  get position(): DataPosition {
    return this.#position;
  }

  /** Left: a place that this data does not have. */
  seek(position: DataPosition): Checked<void> {
    const { epoch, place, offset } = position;
    const whole = [epoch, place, offset].every((one) => Number.isSafeInteger(one) && one >= 0);
    const inside = whole && place < this.documents && offset < this.#lengthOf(position);
    if (inside) this.#position = { epoch, place, offset };
    return inside
      ? Either.right(undefined)
      : Either.left([
          userProblem("data", "must have the place that the checkpoint names", {
            given: JSON.stringify(position),
            remedy: "resume with the data that the checkpoint was trained on",
          }),
        ]);
  }

  /** Everything that decides which batches come, as plain JSON: a run is resumed only with the same. */
  get identity(): RunIdentity {
    const { length, context, packing, longDocuments = "error", shuffleSeed = null } = this.#options;
    const documents = createHash("sha256")
      .update(new Uint8Array(this.#documents.slice().buffer))
      .digest("hex");
    return { content: this.#data.content, documents, length, context, packing, longDocuments, shuffleSeed };
  }

  /** Epochs done, with the share of the current one's documents. */
  get epochs(): number {
    return this.#position.epoch + this.#position.place / this.documents;
  }

  next(): TrainingBatch {
    return this.#pack(() => true).batch;
  }

  /** Every document once, in order, from the beginning; the last batch may be mostly padding. */
  *once(): Generator<TrainingBatch> {
    const kept = this.#position;
    this.#position = dataStart;
    const same = () => this.#position.epoch === 0;
    while (same()) {
      const { batch, used } = this.#pack(same);
      // A consumer may train in between; its place must not move.
      const mine = this.#position;
      this.#position = kept;
      if (used > 0) yield batch;
      this.#position = mine;
    }
    this.#position = kept;
  }

  #pack(goesOn: () => boolean): { readonly batch: TrainingBatch; readonly used: number } {
    const packer = new SequencePacker(this.#options.length);
    if (this.#options.packing === "concatenate") {
      while (packer.left > 0 && goesOn()) this.#addWindow(packer, goesOn);
    } else {
      while (packer.left > 0 && goesOn() && this.#addDocument(packer)) {}
    }
    return { used: packer.used, batch: packer.finish() };
  }

  /** The next document, or the next part of a long one; false where it does not fit any more. */
  #addDocument(packer: SequencePacker): boolean {
    const { begin, end } = this.#rangeOf(this.#position);
    const from = begin + this.#position.offset;
    const count = Math.min(end - from, this.#options.context);
    if (count > packer.left) return false;
    // The token behind a part is still its last target.
    const { tokens, learn } = this.#data.read(from, Math.min(count + 1, end - from));
    packer.add(tokens.subarray(0, count), targetsOf(tokens, learn).subarray(0, count));
    this.#advance(count);
    return true;
  }

  /** `context` tokens of the endless text; fewer only where it ends. */
  #addWindow(packer: SequencePacker, goesOn: () => boolean): void {
    const { context } = this.#options;
    const tokens = new Int32Array(context + 1);
    const learn = new Uint8Array(context + 1);
    let filled = 0;
    const take = (most: number): number => {
      const { begin, end } = this.#rangeOf(this.#position);
      const from = begin + this.#position.offset;
      const read = this.#data.read(from, Math.min(most, end - from));
      tokens.set(read.tokens, filled);
      learn.set(read.learn, filled);
      filled += read.tokens.length;
      return read.tokens.length;
    };
    while (filled < context && goesOn()) this.#advance(take(context - filled));
    const count = filled;
    // One more, which is the last target and the first token of the next window.
    if (count === context && goesOn()) take(1);
    const targets = targetsOf(tokens.subarray(0, filled), learn.subarray(0, filled));
    packer.add(tokens.subarray(0, count), targets.subarray(0, count));
  }

  #advance(count: number): void {
    const { epoch, place, offset } = this.#position;
    if (offset + count < this.#lengthOf(this.#position)) {
      this.#position = { epoch, place, offset: offset + count };
    } else if (place + 1 < this.documents) this.#position = { epoch, place: place + 1, offset: 0 };
    else this.#position = { epoch: epoch + 1, place: 0, offset: 0 };
  }

  #lengthOf(position: DataPosition): number {
    const { begin, end } = this.#rangeOf(position);
    return end - begin;
  }

  #rangeOf({ epoch, place }: DataPosition): { readonly begin: number; readonly end: number } {
    const { shuffleSeed: seed } = this.#options;
    const index = seed === undefined ? place : shuffledPlace(place, this.documents, seed, epoch);
    return this.#data.rangeOf(this.#documents[index]!);
  }
}
