/** Cuts the text form of a graph into tokens, and shows the place where it cannot go on. */
export type Token = {
  readonly kind: "word" | "text" | "number" | "node" | "sign" | "end";
  /** As it stands in the source. */
  readonly source: string;
  readonly start: number;
};

/** Thrown inside the parser alone; `parseGraph` turns it into a problem. */
export class TextError extends Error {
  readonly expected: string;
  readonly given: string;
  readonly offset: number;
  constructor(expected: string, given: string, offset: number) {
    super(expected);
    this.expected = expected;
    this.given = given;
    this.offset = offset;
  }
}

// Spaces and `//` comments, then one token. A quoted text must close on its line.
const space = /(?:\s|\/\/[^\n]*)*/y;
const token =
  /(?<word>[A-Za-z_][\w.'-]*)|(?<text>"(?:[^"\\\n]|\\.)*")|(?<number>-?(?:inf\b|nan\b|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?))|%(?<node>\d+)|(?<sign><=|[{}()[\],:=+#])/y;
const place = /[ \t]*(?:(?<bare>[^\s()"][^\s()]*)|(?<quoted>"(?:[^"\\\n]|\\.)*"))/y;

export class Scanner {
  readonly source: string;
  #offset = 0;
  #next: Token;

  constructor(source: string) {
    this.source = source;
    this.#next = this.#scan();
  }

  /** The token that comes next. */
  get next(): Token {
    return this.#next;
  }

  take(): Token {
    const token = this.#next;
    this.#next = this.#scan();
    return token;
  }

  /** Fails at the next token. */
  fail(expected: string): never {
    const { kind, source, start } = this.#next;
    throw new TextError(expected, kind === "end" ? "the end of the text" : source, start);
  }

  /** Takes a sign or a word if it comes next. */
  accept(source: string): boolean {
    const { kind } = this.#next;
    if (this.#next.source !== source || (kind !== "sign" && kind !== "word")) return false;
    this.take();
    return true;
  }

  expect(source: string, expected = `"${source}"`): void {
    if (!this.accept(source)) this.fail(expected);
  }

  /**
   * After a `#` that was seen but not taken: the paths behind it on the same line, which follow looser rules than
   * other tokens. Gives undefined where there is none.
   */
  places(): readonly string[] {
    const found: string[] = [];
    this.#offset = this.#next.start + 1;
    for (;;) {
      place.lastIndex = this.#offset;
      const groups = place.exec(this.source)?.groups;
      if (groups === undefined) break;
      const start = this.#offset;
      this.#offset = place.lastIndex;
      found.push(groups.bare ?? this.unquote(groups.quoted!, start));
    }
    this.#next = this.#scan();
    return found;
  }

  /** The string behind a quoted token. */
  unquote(quoted: string, start: number): string {
    try {
      return JSON.parse(quoted) as string;
    } catch {
      throw new TextError("a quoted text, escaped as in JSON", quoted, start);
    }
  }

  #scan(): Token {
    space.lastIndex = this.#offset;
    space.exec(this.source);
    const start = space.lastIndex;
    if (start >= this.source.length) return { kind: "end", source: "", start: this.source.length };
    token.lastIndex = start;
    const match = token.exec(this.source);
    if (match === null) {
      const given =
        this.source[start] === '"'
          ? "a quote that does not close"
          : [...this.source.slice(start, start + 2)][0]!;
      throw new TextError("a name, a number, a node or a sign", given, start);
    }
    this.#offset = token.lastIndex;
    const kind = (["word", "text", "number", "node", "sign"] as const).find(
      (one) => match.groups![one] !== undefined,
    )!;
    return { kind, source: match[0], start };
  }
}

/** `3:14`, the line there, and a caret below the place. */
export function showPlace(source: string, offset: number): string {
  const before = source.slice(0, offset).split("\n");
  const column = before.at(-1)!.length;
  const line = source.split("\n", before.length)[before.length - 1]!;
  // A window of a long line; tabs keep their width above and below.
  const from = Math.max(0, column - 60);
  const shown = line.slice(from, from + 100);
  const pad = shown.slice(0, column - from).replace(/[^\t]/g, " ");
  return `${before.length}:${column + 1}\n  ${shown}\n  ${pad}^`;
}
