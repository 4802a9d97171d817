/**
 * Makes a context hold a given text, with as little work as possible: what is cached and equal stays, the rest is run.
 *
 * The text counts from its very beginning, so that with a context that has dropped its oldest tokens, token `i` of
 * the text has the absolute position `i`. Where the text does not fit:
 * - `error`: refused before anything is changed;
 * - `drop-oldest`: the oldest tokens go, in blocks of a quarter of the capacity, so that the cache is moved rarely.
 *   Tokens that would be dropped at once are not run at all.
 */
import { userProblem, WeftError } from "../config/problems.ts";
import { type AppendOptions, type ContextCache, contextTooLong } from "./context.ts";

export type Clip = "error" | "drop-oldest";

export interface Advanced {
  /** Tokens that were in the cache already. */
  readonly reused: number;
  /** Tokens that were run. */
  readonly prefilled: number;
  /** Tokens that were dropped from the front, or left out there, to make room. */
  readonly dropped: number;
  /** Logits of the last token, or the output that was asked for: a view as `ContextCache.append` gives it. */
  readonly logits: Float32Array;
}

/** Tokens that are dropped at once. */
export const clipBlock = (capacity: number): number => Math.ceil(capacity / 4);

const clipRemedy =
  'open the model with a larger capacity, give less text, or let the oldest tokens go (clip "drop-oldest")';

/**
 * @param text at least one token: the logits that are asked for are those of the last one
 * @param room tokens that must still fit behind the text
 * @throws WeftError when the text is empty or does not fit with `room`, before anything is changed; and as `append`
 * does. An abort leaves what was done.
 */
export async function advanceTo(
  context: ContextCache,
  text: readonly number[],
  {
    clip = "error",
    room = 0,
    ...options
  }: Omit<AppendOptions, "wantLogits"> & { readonly clip?: Clip; readonly room?: number },
): Promise<Advanced> {
  if (text.length === 0) {
    throw new WeftError([
      userProblem("context", "must be given at least one token, whose logits are asked for", {
        given: "an empty text",
        remedy: "begin with the model's first token, or call reset() to empty the context",
      }),
    ]);
  }
  const { capacity } = context;
  let keep = commonLength(context, text);
  // The cached part begins behind the text, or shares nothing with it: then the text begins anew.
  let start = keep === 0 ? 0 : context.dropped;
  // The last token is always run: its logits are what is asked for.
  if (start + keep === text.length) keep--;
  const excess = text.length - start + room - capacity;
  let dropped = 0;
  if (excess > 0) {
    if (clip === "error" || room >= capacity) {
      const remedy = room >= capacity ? undefined : clipRemedy;
      throw new WeftError([contextTooLong(text.length - start + room, capacity, remedy)]);
    }
    const block = clipBlock(capacity);
    // At least one token has to stay.
    dropped = Math.min(Math.ceil(excess / block) * block, text.length - start - 1);
  }
  if (keep === 0) context.reset(start);
  else context.truncate(keep);
  if (dropped > 0) {
    if (dropped < keep) await context.dropOldest(dropped);
    else context.reset(start + dropped);
    keep = Math.max(0, keep - dropped);
    start += dropped;
  }
  const rest = text.slice(start + keep);
  const logits = await context.append(rest, options);
  return { reused: keep, prefilled: rest.length, dropped, logits };
}

/** How many cached tokens are the text's own at their positions; none where their rows are of former weights. */
function commonLength({ tokens, dropped, isStale }: ContextCache, text: readonly number[]): number {
  if (isStale) return 0;
  let length = 0;
  while (length < tokens.length && tokens[length] === text[dropped + length]) length++;
  return length;
}

/**
 * Makes a context hold exactly a text that fits, without asking for logits; `text` as for `advanceTo`.
 * @returns how many tokens were run
 */
export async function holdExactly(context: ContextCache, text: readonly number[]): Promise<number> {
  const keep = commonLength(context, text);
  context.truncate(keep);
  const rest = text.slice(context.dropped + keep);
  if (rest.length > 0) await context.append(rest, { wantLogits: false });
  return rest.length;
}
