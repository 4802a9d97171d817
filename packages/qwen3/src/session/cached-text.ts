/**
 * The text whose tokens a context holds. A chat is rendered anew for every turn; where the new rendering begins with
 * the text that is cached, the cached tokens stay, whatever the tokenizer would make of that text now: a model need not
 * spell as its tokenizer does, and what it has seen is what counts.
 */

/** A place where text and tokens can be cut apart: nothing before it is tokenised together with anything behind it. */
export interface Anchor {
  /** Index in the text, in UTF-16 units. */
  readonly text: number;
  /** Index in the tokens. */
  readonly tokens: number;
}

const origin: Anchor = { text: 0, tokens: 0 };

/** Immutable. Tokens count from the very beginning, dropped ones included. */
export class CachedText {
  static readonly empty = new CachedText("", [], []);

  /** Up to the last anchor. */
  readonly text: string;
  /** What the context holds, and has dropped; those behind the last anchor belong to no finished turn. */
  readonly tokens: readonly number[];
  /** Ascending; the beginning is an anchor by itself. */
  readonly anchors: readonly Anchor[];

  constructor(text: string, tokens: readonly number[], anchors: readonly Anchor[]) {
    this.text = text;
    this.tokens = tokens;
    this.anchors = anchors;
  }

  /** The last anchor up to which a rendering is the cached text. */
  commonAnchor(rendering: string): Anchor {
    const common = commonLength(this.text, rendering);
    return this.anchors.findLast(({ text }) => text <= common) ?? origin;
  }

  /** What is left of it when only its text up to an anchor still holds, and the context has these tokens. */
  cutTo({ text, tokens: count }: Anchor, tokens: readonly number[]): CachedText {
    return new CachedText(
      this.text.slice(0, text),
      tokens,
      this.anchors.filter((anchor) => anchor.tokens <= count && anchor.tokens <= tokens.length),
    );
  }

  /** The text of finished turns, which ends in an anchor. `common` is where it left the text before. */
  continued(common: Anchor, text: string, tokens: readonly number[]): CachedText {
    const kept = this.anchors.filter((anchor) => anchor.tokens <= common.tokens);
    return new CachedText(text, tokens, [...kept, { text: text.length, tokens: tokens.length }]);
  }
}

function commonLength(a: string, b: string): number {
  const limit = Math.min(a.length, b.length);
  let length = 0;
  while (length < limit && a.charCodeAt(length) === b.charCodeAt(length)) length++;
  return length;
}
