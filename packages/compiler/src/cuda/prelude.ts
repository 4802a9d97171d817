/** The prelude files (packages/compiler/cuda), and a module's text with them pasted in. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Where the prelude files lie, seen from src/ and from dist/. */
export const preludeFolder = fileURLToPath(new URL("../../cuda", import.meta.url));

const texts = new Map<string, string>();

/** The text of the first of the folders that has the file. */
function preludeText(file: string, folders: readonly string[]): string {
  for (const folder of folders) {
    const path = `${folder}/${file}`;
    const known = texts.get(path);
    if (known !== undefined) return known;
    if (!existsSync(path)) continue;
    const text = readFileSync(path, "utf8");
    texts.set(path, text);
    return text;
  }
  throw new Error(`there is no ${file} in ${folders.join(", ")}`);
}

/**
 * A module's text without includes of our own: each file once, with `#line` marks so that a compiler's messages name it.
 * @param folders where the files are looked for; the simulator has twins of some, which come first for its compiler.
 */
export function selfContained(source: string, folders: readonly string[] = [preludeFolder]): string {
  const file = "kernels.cu";
  const seen = new Set<string>();
  const expand = (text: string, name: string): string =>
    text
      .split("\n")
      .map((line, index) => {
        const included = /^#include "([^"]+)"$/.exec(line)?.[1];
        if (line === "#pragma once") return "";
        if (included === undefined) return line;
        if (seen.has(included)) return "";
        seen.add(included);
        const inside = expand(preludeText(included, folders), included);
        return `#line 1 "${included}"\n${inside}\n#line ${index + 2} "${name}"`;
      })
      .join("\n");
  return `#line 1 "${file}"\n${expand(source, file)}`;
}
