/** The prelude files (packages/compiler/cuda), and a module's text with them pasted in. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Where the prelude files lie, seen from src/ and from dist/. */
export const preludeFolder = fileURLToPath(new URL("../../cuda", import.meta.url));

const texts = new Map<string, string>();

function preludeText(file: string): string {
  let text = texts.get(file);
  if (text === undefined) {
    text = readFileSync(`${preludeFolder}/${file}`, "utf8");
    texts.set(file, text);
  }
  return text;
}

/** A module's text without includes: each file once, with `#line` marks so that a compiler's messages name it. */
export function selfContained(source: string, file = "kernels.cu"): string {
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
        const inside = expand(preludeText(included), included);
        return `#line 1 "${included}"\n${inside}\n#line ${index + 2} "${name}"`;
      })
      .join("\n");
  return `#line 1 "${file}"\n${expand(source, file)}`;
}
