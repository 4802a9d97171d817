/** `PROMPT<TAB>TARGET` lines: the prompt is read, the target is learnt. Both are taken as they stand, without escapes. */
import { showGiven, userProblem } from "../../config/problems.ts";
import { piecesOf, type Reading } from "./document.ts";
import { linesOf } from "./lines.ts";

/** Reads a TSV file; empty lines are no documents. The prompt may be empty, the target not. */
export async function* readTsv(file: string): AsyncGenerator<Reading> {
  for await (const { number, text, problem } of linesOf(file)) {
    if (problem !== undefined) {
      yield { problem };
      continue;
    }
    if (text === "") continue;
    const tab = text.indexOf("\t");
    const second = tab < 0 ? -1 : text.indexOf("\t", tab + 1);
    const refused = (column: number, requirement: string, given: string): Reading => ({
      problem: userProblem(file, requirement, {
        given,
        location: `${file}:${number}:${column}`,
        remedy: "write PROMPT<TAB>TARGET, or skip bad lines",
      }),
    });
    if (tab < 0) yield refused(text.length + 1, "a line must have a tab", showGiven(text));
    else if (second >= 0) yield refused(second + 1, "a line must have one tab", "a second one");
    else if (tab === text.length - 1)
      yield refused(tab + 2, "the target must not be empty", "the end of the line");
    else {
      const [prompt, target] = [text.slice(0, tab), text.slice(tab + 1)];
      const parts = [
        { text: prompt, learn: false },
        { text: target, learn: true },
      ];
      yield* piecesOf(parts, `${file}:${number}`, true);
    }
  }
}
