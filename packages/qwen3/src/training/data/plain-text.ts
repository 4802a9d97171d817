/** Plain text: one document a file, a paragraph or a line. */
import type { Piece, Reading } from "./document.ts";
import { linesOf } from "./lines.ts";

/** What one document is. A paragraph ends at a line of spaces or nothing. */
export type TextUnit = "file" | "paragraph" | "line";

/** Text is cut where it has grown so long, so that a file of any size takes little memory. */
const pieceLength = 64 * 1024;

/**
 * Reads a text file. A piece ends behind a line break between two characters that are no spaces: neither Qwen's pattern
 * nor GPT-2's reaches across such a place, so the tokens are those of the whole text.
 */
export async function* readPlainText(file: string, unit: TextUnit): AsyncGenerator<Reading> {
  let text = "";
  let first = true;
  let location = `${file}:1`;
  const piece = (content: string, last: boolean): Reading => {
    const made: Piece = { text: content, learn: true, first, last, end: last, location };
    first = last;
    return { piece: made };
  };
  for await (const { number, text: line, problem } of linesOf(file)) {
    if (problem !== undefined) {
      yield { problem };
      continue;
    }
    const blank = line.trim() === "";
    if (unit === "line") {
      location = `${file}:${number}`;
      if (!blank) yield piece(line, true);
      continue;
    }
    if (unit === "paragraph" && blank) {
      if (text !== "") yield piece(text, true);
      text = "";
      continue;
    }
    if (first && text === "") location = `${file}:${number}`;
    // The break before this line belongs to the text only if a line follows it.
    const joined = text === "" && first ? line : `${text}\n${line}`;
    const cut = text.length > pieceLength && /\S$/.test(text) && /^\S/.test(line);
    if (cut) {
      yield piece(`${text}\n`, false);
      text = line;
    } else text = joined;
  }
  if (text.trim() !== "" || !first) yield piece(text, true);
}
