/** Lines of a text file as they are read, with their numbers: a file of any size costs one line of memory. */
import { createReadStream } from "node:fs";
import { messageOf, type Problem, userProblem } from "../../config/problems.ts";

export interface Line {
  /** From 1. */
  readonly number: number;
  /** Without its line break. Undefined where `problem` says why there is no text. */
  readonly text: string;
  readonly problem?: Problem;
}

/** A longer line is a file of another kind; JavaScript strings end at 512 MB. */
const longestLine = 64 * 1024 * 1024;
const newline = 10;

/**
 * The lines of a UTF-8 file, split at `\n`; `\r\n` counts as one break, a byte order mark as nothing. A line that is no
 * UTF-8 or too long is handed out with a problem, and reading goes on behind it. A file that cannot be read ends with
 * a problem.
 */
export async function* linesOf(file: string): AsyncGenerator<Line> {
  let number = 0;
  let parts: Buffer[] = [];
  let length = 0;
  const take = (): Line => {
    number++;
    const line = lineOf(file, number, parts, length);
    parts = [];
    length = 0;
    return line;
  };
  const keep = (bytes: Buffer) => {
    length += bytes.length;
    // What is too long is counted, not kept.
    if (length <= longestLine) parts.push(bytes);
    else parts = [];
  };
  try {
    for await (const chunk of createReadStream(file, {
      highWaterMark: 256 * 1024,
    }) as AsyncIterable<Buffer>) {
      let at = 0;
      for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, at)) {
        keep(chunk.subarray(at, end));
        yield take();
        at = end + 1;
      }
      if (at < chunk.length) keep(chunk.subarray(at));
    }
    if (length > 0) yield take();
  } catch (error) {
    const absent = (error as NodeJS.ErrnoException).code === "ENOENT";
    const problem = absent
      ? userProblem(file, "must exist", { given: "no such file", remedy: "check the path of the data" })
      : userProblem(file, "must be readable", {
          given: messageOf(error),
          remedy: "check the path and its permissions",
        });
    yield { number: number + 1, text: "", problem };
  }
}

function lineOf(file: string, number: number, parts: readonly Buffer[], length: number): Line {
  const refused = (requirement: string, given: string, remedy: string, column = 1): Line => ({
    number,
    text: "",
    problem: userProblem(file, requirement, { given, location: `${file}:${number}:${column}`, remedy }),
  });
  if (length > longestLine) {
    return refused(
      `a line must have at most ${longestLine} bytes`,
      `${length} bytes`,
      "give one document a line",
    );
  }
  const bytes = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  const end = bytes.at(-1) === 13 ? bytes.length - 1 : bytes.length;
  const begin = number === 1 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  const text = new TextDecoder("utf-8", { ignoreBOM: true });
  try {
    const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });
    return { number, text: strict.decode(bytes.subarray(begin, end)) };
  } catch {
    // Up to the first replacement the text is as in the file.
    const column = text.decode(bytes.subarray(begin, end)).indexOf("\ufffd") + 1;
    return refused("the text must be UTF-8", "bytes that are not", "convert the file to UTF-8", column);
  }
}
