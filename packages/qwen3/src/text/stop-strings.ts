/** Ends a streamed text at given strings, which may begin in one piece and end in another. */
import * as Either from "fp-ts/lib/Either.js";
import { type Problems, refuse, showGiven } from "../config/problems.ts";

export interface StopResult {
  /** Text that can be shown: it holds no part of a stop string. */
  readonly text: string;
  /** The stop string that ended the text; nothing after it will be shown. */
  readonly stopped: string | undefined;
}

/**
 * Finds the stop string that is completed first; of several that are completed by the same character the longest.
 * So the result depends on the text only, not on how it is cut into pieces. Held back is never more than what could
 * be the beginning of a stop string.
 */
export class StopStrings {
  readonly #stops: readonly string[];
  #pending = "";
  #stopped: string | undefined;

  private constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** Left: an empty stop string, which would end every text before it begins. */
  static create(stops: readonly string[]): Either.Either<Problems, StopStrings> {
    const empty = stops.findIndex((stop) => typeof stop !== "string" || stop === "");
    return empty < 0
      ? Either.right(new StopStrings([...stops].sort((a, b) => b.length - a.length)))
      : refuse("stop", "a stop string must not be empty", {
          given: showGiven(stops[empty]),
          remedy: "leave it out",
        });
  }

  /** Takes the next piece of text. After a stop every result is empty with the same `stopped`. */
  push(piece: string): StopResult {
    if (this.#stopped !== undefined) return { text: "", stopped: this.#stopped };
    const text = this.#pending + piece;
    let end = Number.POSITIVE_INFINITY;
    let found: string | undefined;
    for (const stop of this.#stops) {
      const at = text.indexOf(stop);
      // Longest first: at the same end only the first one found may stay.
      if (at >= 0 && at + stop.length < end) {
        end = at + stop.length;
        found = stop;
      }
    }
    if (found !== undefined) {
      this.#stopped = found;
      this.#pending = "";
      return { text: text.slice(0, end - found.length), stopped: found };
    }
    const held = this.#heldLength(text);
    this.#pending = text.slice(text.length - held);
    return { text: text.slice(0, text.length - held), stopped: undefined };
  }

  /** What was held back, once no more text will come. */
  flush(): string {
    const rest = this.#pending;
    this.#pending = "";
    return rest;
  }

  /** Length of the longest end of the text that begins a stop string. */
  #heldLength(text: string): number {
    const longest = Math.min(text.length, (this.#stops[0]?.length ?? 1) - 1);
    for (let length = longest; length > 0; length--) {
      const tail = text.slice(text.length - length);
      if (this.#stops.some((stop) => stop.startsWith(tail))) return length;
    }
    return 0;
  }
}
