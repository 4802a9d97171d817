/** Where a text stops being JSON: `JSON.parse` tells in some messages only, and differently in each version of Node. */

const space = /[ \t\n\r]*/y;
const scalar = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids exactly these in strings
const openString = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*/y;

/**
 * Index of the first character that no JSON text could have there; the length of the text where it ends too early;
 * undefined where the whole text is JSON.
 */
export function jsonErrorAt(text: string): number | undefined {
  let at = 0;
  const skip = (pattern: RegExp): number => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0].length ?? 0;
    at += found;
    return found;
  };
  const readString = (): boolean => {
    skip(openString);
    if (text[at] !== '"') return false;
    at++;
    return true;
  };
  // What closes each open bracket; a stack, because a text of many brackets must not end the program.
  const open: ("}" | "]")[] = [];
  for (;;) {
    // A value.
    skip(space);
    const character = text[at];
    if (character === "{" || character === "[") {
      open.push(character === "{" ? "}" : "]");
      at++;
      skip(space);
      if (text[at] !== open.at(-1)) {
        if (character === "{" && !key()) return at;
        continue;
      }
    } else if (character === '"') {
      if (!readString()) return at;
    } else if (skip(scalar) === 0) return at;
    // What may follow it.
    for (;;) {
      if (text[at] === open.at(-1) && open.length > 0) {
        open.pop();
        at++;
      }
      skip(space);
      if (open.length === 0) return at < text.length ? at : undefined;
      if (text[at] === ",") break;
      if (text[at] !== open.at(-1)) return at;
    }
    at++;
    skip(space);
    if (open.at(-1) === "}" && !key()) return at;
  }

  function key(): boolean {
    if (text[at] !== '"' || !readString()) return false;
    skip(space);
    if (text[at] !== ":") return false;
    at++;
    return true;
  }
}
