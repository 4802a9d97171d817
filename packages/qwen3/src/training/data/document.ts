/** A document as a reader hands it out: pieces of text, in order, each read only or to be learnt. */
import type { Problem } from "../../config/problems.ts";

export interface Piece {
  readonly text: string;
  /** False for a prompt: the model reads it and is not asked to predict it. */
  readonly learn: boolean;
  /** The first piece of its document. */
  readonly first: boolean;
  /** The last piece of its document. */
  readonly last: boolean;
  /** An end token is to follow; templates write their own. Only with `last`. */
  readonly end: boolean;
  /** `FILE:LINE` at which the document begins. */
  readonly location: string;
}

/** A piece, or what is wrong with a document that gave none. */
export type Reading =
  | { readonly piece: Piece; readonly problem?: undefined }
  | { readonly problem: Problem; readonly piece?: undefined };

/** A whole document from its parts. */
export function* piecesOf(
  parts: readonly { readonly text: string; readonly learn: boolean }[],
  location: string,
  end: boolean,
): Generator<Reading> {
  const kept = parts.filter(({ text }) => text !== "");
  for (const [index, { text, learn }] of kept.entries()) {
    const last = index === kept.length - 1;
    yield { piece: { text, learn, first: index === 0, last, end: end && last, location } };
  }
}
