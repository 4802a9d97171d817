/**
 * Patterns for names of modules, as the configurations of quantised checkpoints have them: a name, `re:` and a regular
 * expression that fits from the beginning on, or a name with the wildcards `*`, `?` and `[...]`.
 */
import * as Either from "fp-ts/lib/Either.js";
import { type Checked, messageOf, refuse } from "../problems.ts";

export type ModuleTest = (module: string) => boolean;

const regularExpression = "re:";

/** @param source names the file or option in messages */
export function moduleTest(pattern: string, source: string): Checked<ModuleTest> {
  if (!pattern.startsWith(regularExpression) && !/[*?[]/.test(pattern)) {
    return Either.right((module) => module === pattern);
  }
  const body = pattern.startsWith(regularExpression)
    ? `^(?:${pattern.slice(regularExpression.length)})`
    : `^${wildcards(pattern)}$`;
  try {
    const expression = new RegExp(body, "s");
    return Either.right((module) => expression.test(module));
  } catch (error) {
    return refuse(
      source,
      "a pattern must be a name, a name with wildcards, or re: and a regular expression",
      {
        given: `${pattern}: ${messageOf(error)}`,
        remedy: "correct the pattern",
      },
    );
  }
}

/** Shell wildcards as a regular expression; `*` crosses dots. */
function wildcards(pattern: string): string {
  return pattern.replaceAll(/\[(!?)([^\]]+)\]|[\s\S]/g, (part, not: string | undefined, set?: string) => {
    if (set !== undefined) return `[${not === "!" ? "^" : ""}${set.replaceAll(/[\\^[]/g, "\\$&")}]`;
    if (part === "*") return ".*";
    if (part === "?") return ".";
    return part.replace(/[.+^${}()|[\]\\/-]/, "\\$&");
  });
}
