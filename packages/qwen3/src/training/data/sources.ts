/** The files of a data set, each read by its format. */
import { extname } from "node:path";
import * as Either from "fp-ts/lib/Either.js";
import { type Checked, type Problem, refuse, unlessProblems, userProblem } from "../../config/problems.ts";
import type { Reading } from "./document.ts";
import { type RendererSource, readJsonl } from "./jsonl.ts";
import { readPlainText, type TextUnit } from "./plain-text.ts";
import { readTsv } from "./tsv.ts";

/** `jsonl` holds `{"text"}` or `{"messages"}` lines, also mixed. */
export type DataFormat = "text" | "jsonl" | "tsv";

export interface DataSource {
  readonly file: string;
  readonly format: DataFormat;
}

const formatOfExtension: Readonly<Record<string, DataFormat>> = {
  ".txt": "text",
  ".md": "text",
  ".jsonl": "jsonl",
  ".ndjson": "jsonl",
  ".tsv": "tsv",
};

/**
 * Files with their formats.
 *
 * Left: no file at all; each file whose name tells no format, where none is given.
 */
export function dataSources(files: readonly string[], format?: DataFormat): Checked<readonly DataSource[]> {
  if (files.length === 0) {
    return refuse("data", "must name at least one file", {
      given: "none",
      remedy: "give a .txt, .jsonl or .tsv file",
    });
  }
  const problems: Problem[] = [];
  const sources = files.map((file): DataSource => {
    const found = format ?? formatOfExtension[extname(file).toLowerCase()];
    if (found === undefined) {
      problems.push(
        userProblem(file, "the format must be known", {
          given: `a name that ends with none of ${Object.keys(formatOfExtension).join(", ")}`,
          remedy: "say the format: text, jsonl or tsv",
        }),
      );
    }
    return { file, format: found ?? "text" };
  });
  return Either.map((): readonly DataSource[] => sources)(unlessProblems(problems, () => undefined));
}

/** Every document of every file, in order. */
export async function* readSources(
  sources: readonly DataSource[],
  unit: TextUnit,
  renderer: RendererSource,
): AsyncGenerator<Reading> {
  for (const { file, format } of sources) {
    if (format === "text") yield* readPlainText(file, unit);
    else if (format === "tsv") yield* readTsv(file);
    else yield* readJsonl(file, renderer);
  }
}
