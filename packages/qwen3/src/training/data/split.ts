/** Which documents are learnt from and which only tell how well: decided once, the same in every run. */

import * as Either from "fp-ts/lib/Either.js";
import { type Checked, refuse } from "../../config/problems.ts";
import type { TokenFile } from "./token-file.ts";

export interface HeldOut {
  /** Share of the documents that are held out, from 0 up to but not 1. */
  readonly share: number;
  /**
   * `hash`: by content, so a document is on the same side wherever it stands, and so are its copies; `last`: the last
   * ones. Default `hash`.
   */
  readonly by?: "hash" | "last";
}

export interface Split {
  readonly training: Uint32Array;
  readonly heldOut: Uint32Array;
}

/** Left: a share of nonsense, or one that leaves no document on a side. */
export function splitDocuments(
  data: TokenFile,
  { share, by = "hash" }: HeldOut = { share: 0 },
): Checked<Split> {
  if (!(share >= 0 && share < 1)) {
    return refuse("heldOut.share", "must be at least 0 and below 1", {
      given: String(share),
      remedy: "hold out 0.05, say",
    });
  }
  const training: number[] = [];
  const heldOut: number[] = [];
  const firstHeldOut = data.documents - Math.round(data.documents * share);
  for (let document = 0; document < data.documents; document++) {
    const held = by === "last" ? document >= firstHeldOut : data.hashOf(document) < share * 2 ** 32;
    (held ? heldOut : training).push(document);
  }
  if (training.length === 0 || (share > 0 && heldOut.length === 0)) {
    return refuse("heldOut.share", "must leave documents on both sides", {
      given: `${share} of ${data.documents} documents, ${training.length} to learn from and ${heldOut.length} held out`,
      remedy: "choose another share, or cut the text into paragraphs or lines",
    });
  }
  return Either.right({ training: Uint32Array.from(training), heldOut: Uint32Array.from(heldOut) });
}
