/**
 * JSON as text. `JSON.parse` keeps the last of two equal keys and says nothing, and it must read all of a file to
 * hand out one value; these scanners see each key with the range of its value.
 */

export interface JsonMember {
  readonly key: string;
  /** Range of the value in the text: `text.slice(begin, end)`. */
  readonly begin: number;
  readonly end: number;
}

const isSpace = (code: number) => code === 32 || code === 10 || code === 13 || code === 9;

function skipSpace(text: string, at: number): number {
  while (at < text.length && isSpace(text.charCodeAt(at))) at++;
  return at;
}

/** The position after the string that opens at `at`, or the end of the text where it is never closed. */
function skipString(text: string, at: number): number {
  let quote = text.indexOf('"', at + 1);
  while (quote >= 0) {
    let slashes = 0;
    while (text.charCodeAt(quote - 1 - slashes) === 92) slashes++;
    if (slashes % 2 === 0) return quote + 1;
    quote = text.indexOf('"', quote + 1);
  }
  return text.length;
}

/** The position after the value that begins at `at`. */
function skipValue(text: string, at: number): number {
  let depth = 0;
  while (at < text.length) {
    const character = text[at]!;
    if (character === '"') {
      at = skipString(text, at);
      if (depth === 0) return at;
      continue;
    }
    if (character === "{" || character === "[") depth++;
    else if (character === "}" || character === "]") {
      if (depth === 0) return at;
      depth--;
      if (depth === 0) return at + 1;
    } else if (character === "," && depth === 0) return at;
    at++;
  }
  return at;
}

/**
 * The members of the object that begins at `begin`, in the order of the text, duplicates included. Lazy: a reader
 * that finds what it needs never touches the rest. Meant for text that `JSON.parse` accepts; on other text it
 * yields what it can make out and ends.
 */
export function* jsonMembers(text: string, begin = 0): Generator<JsonMember> {
  let at = skipSpace(text, begin);
  if (text[at] !== "{") return;
  at = skipSpace(text, at + 1);
  while (text[at] === '"') {
    const keyEnd = skipString(text, at);
    let key: string;
    try {
      key = JSON.parse(text.slice(at, keyEnd)) as string;
    } catch {
      return;
    }
    at = skipSpace(text, keyEnd);
    if (text[at] !== ":") return;
    const valueBegin = skipSpace(text, at + 1);
    const valueEnd = skipValue(text, valueBegin);
    yield { key, begin: valueBegin, end: valueEnd };
    at = skipSpace(text, valueEnd);
    if (text[at] !== ",") return;
    at = skipSpace(text, at + 1);
  }
}
