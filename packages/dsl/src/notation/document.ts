/**
 * A small pretty printer. A document is text with places where a line may break; a group breaks at all of its places
 * or at none, whichever fits (Wadler 2003).
 */
export type Document =
  | { readonly tag: "text"; readonly text: string }
  /** A line break in a broken group, otherwise `flat`. */
  | { readonly tag: "line"; readonly flat: string }
  | { readonly tag: "concat"; readonly parts: readonly Document[] }
  | { readonly tag: "indent"; readonly body: Document }
  | { readonly tag: "group"; readonly body: Document };

export const text = (content: string): Document => ({ tag: "text", text: content });
export const concat = (...parts: readonly Document[]): Document => ({ tag: "concat", parts });
export const indent = (body: Document): Document => ({ tag: "indent", body });
export const group = (body: Document): Document => ({ tag: "group", body });
/** A space, or a line break. */
export const line: Document = { tag: "line", flat: " " };
/** Nothing, or a line break. */
export const softLine: Document = { tag: "line", flat: "" };

/** The documents with a separator between them. */
export function stack(parts: readonly Document[], separator: Document): Document {
  return concat(...parts.flatMap((part, index) => (index === 0 ? [part] : [separator, part])));
}

/** `open body close`, the body indented on lines of its own where it does not fit. */
export function enclosed(open: string, body: Document, close: string): Document {
  return group(concat(text(open), indent(concat(softLine, body)), softLine, text(close)));
}

interface Pending {
  readonly document: Document;
  readonly depth: number;
  readonly flat: boolean;
}

/** The text of a document in lines of at most `width` characters, where that is possible. */
export function render(document: Document, width: number): string {
  let result = "";
  let column = 0;
  const pending: Pending[] = [{ document, depth: 0, flat: false }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { document: now, depth, flat } = next;
    switch (now.tag) {
      case "text":
        result += now.text;
        column += now.text.length;
        break;
      case "line":
        result += flat ? now.flat : `\n${"  ".repeat(depth)}`;
        column = flat ? column + now.flat.length : 2 * depth;
        break;
      case "concat":
        for (const part of now.parts.toReversed()) pending.push({ document: part, depth, flat });
        break;
      case "indent":
        pending.push({ document: now.body, depth: depth + 1, flat });
        break;
      case "group":
        pending.push({
          document: now.body,
          depth,
          flat: flat || fits(now.body, width - column - trailing(pending)),
        });
        break;
      default:
        now satisfies never;
    }
  }
  return result;
}

/** What must stand on the same line after a group: text up to the next place where a line breaks. */
function trailing(pending: readonly Pending[]): number {
  let length = 0;
  for (let index = pending.length - 1; index >= 0; index--) {
    const { document, flat } = pending[index]!;
    const [found, ended] = leading(document, flat);
    length += found;
    if (ended) break;
  }
  return length;
}

/** The length of the text before the first possible line break, and whether there is one. */
function leading(document: Document, flat: boolean): readonly [number, boolean] {
  switch (document.tag) {
    case "text":
      return [document.text.length, false];
    case "line":
      return flat ? [document.flat.length, false] : [0, true];
    case "indent":
    case "group":
      return leading(document.body, flat);
    case "concat": {
      let length = 0;
      for (const part of document.parts) {
        const [found, ended] = leading(part, flat);
        length += found;
        if (ended) return [length, true];
      }
      return [length, false];
    }
    default:
      return document satisfies never;
  }
}

/** Whether a document fits on the rest of a line. */
function fits(document: Document, space: number): boolean {
  let left = space;
  const pending = [document];
  for (let next = pending.pop(); next !== undefined && left >= 0; next = pending.pop()) {
    if (next.tag === "text") left -= next.text.length;
    else if (next.tag === "line") left -= next.flat.length;
    else if (next.tag === "concat") pending.push(...next.parts.toReversed());
    else pending.push(next.body);
  }
  return left >= 0;
}
