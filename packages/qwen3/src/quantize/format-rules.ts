/** Which linears a format is meant for: a list of patterns, of which the last one that fits a linear decides. */
import { nearestName } from "@weft/dsl";
import * as Either from "fp-ts/lib/Either.js";
import { type Checked, type Problem, showGiven, unlessProblems, userProblem } from "../config/problems.ts";
import { type ModuleTest, moduleTest } from "../config/quantization/index.ts";

/** How the weights of a linear may be stored. */
export const linearFormats = ["plain", "nvfp4", "fp8"] as const;
export type LinearFormat = (typeof linearFormats)[number];

/** What the weights may be multiplied with. */
export const activationFormats = ["plain", "nvfp4"] as const satisfies readonly LinearFormat[];
export type ActivationFormat = (typeof activationFormats)[number];

export interface FormatRule {
  /**
   * Names of modules, as the configurations of quantised checkpoints have them: `model.layers.0.mlp.down_proj`, a name with
   * the wildcards `*`, `?` and `[...]` (`*` crosses dots), or `re:` and a regular expression.
   */
  readonly pattern: string;
  readonly format: LinearFormat;
}

/** `plain, nvfp4 or fp8`. */
export const formatsText = (formats: readonly LinearFormat[]): string =>
  `${formats.slice(0, -1).join(", ")} or ${formats.at(-1)}`;

/** As a command line has it. */
export const showRule = ({ pattern, format }: FormatRule): string => `${pattern}=${format}`;

/**
 * The rule that decides about each module; modules that none fits are left out.
 *
 * Left: a pattern that is none, one that fits no module (with the nearest that would), a format that is none; all together.
 * @param source names the option in messages
 * @param what the modules are, for messages
 * @param formats those that there are
 */
export function applyRules(
  rules: readonly FormatRule[],
  modules: readonly string[],
  source: string,
  what: string,
  formats: readonly LinearFormat[] = linearFormats,
): Checked<ReadonlyMap<string, FormatRule>> {
  const problems: Problem[] = [];
  const tests: { readonly rule: FormatRule; readonly fits: ModuleTest }[] = [];
  for (const rule of rules) {
    if (!formats.includes(rule.format)) {
      problems.push(
        userProblem(source, `the format must be ${formatsText(formats)}`, {
          given: showGiven(rule.format),
          path: rule.pattern,
          remedy: "correct the format",
        }),
      );
    }
    const test = moduleTest(rule.pattern, source);
    if (Either.isLeft(test)) problems.push(...test.left);
    else if (modules.some(test.right)) tests.push({ rule, fits: test.right });
    else problems.push(fitsNone(rule.pattern, modules, source, what));
  }
  return unlessProblems(problems, () => {
    const decided = new Map<string, FormatRule>();
    for (const name of modules) {
      const found = tests.findLast(({ fits }) => fits(name));
      if (found !== undefined) decided.set(name, found.rule);
    }
    return decided;
  });
}

function fitsNone(pattern: string, modules: readonly string[], source: string, what: string): Problem {
  const near = nearestPattern(pattern, modules);
  const [some] = alike(modules);
  const example = some === undefined ? "there is none" : `names are whole, as ${some}`;
  return userProblem(source, `a pattern must fit ${what}`, {
    given: pattern,
    remedy: near === undefined ? example : `did you mean ${near}?`,
  });
}

/** Names with a wildcard in the place of a layer's number, each once. */
const alike = (modules: readonly string[]) => [
  ...new Set(modules.map((name) => name.replace(/\.\d+\./, ".*."))),
];

/** What somebody may have meant by a pattern that fits nothing: a name, or a pattern of the usual forms that fits. */
export function nearestPattern(pattern: string, modules: readonly string[]): string | undefined {
  const whole = `*${pattern.startsWith("*") ? "" : "."}${pattern}`;
  const test = moduleTest(whole, "pattern");
  if (Either.isRight(test) && modules.some(test.right)) return whole;
  const layers = alike(modules);
  const forms = layers.flatMap((name) => {
    const [last, parent] = [name.slice(name.lastIndexOf(".") + 1), name.slice(0, name.lastIndexOf("."))];
    return [name, `*.${last}`, `${parent}.*`];
  });
  return nearestName(pattern, [...modules, ...new Set(forms)]);
}
