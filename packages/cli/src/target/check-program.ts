/** `--program`: one of those that a plan, or a comparison, has. */
import { nearestName } from "@weft/dsl";
import { refuse } from "../terminal/refuse.ts";

/** @throws WeftError for a program that is none of them */
export function checkProgram(asked: string | undefined, names: readonly string[]): void {
  if (asked === undefined || names.includes(asked)) return;
  const near = nearestName(asked, names);
  refuse("--program", `must be one of ${names.join(", ")}`, {
    given: asked,
    ...(near === undefined ? {} : { remedy: `did you mean ${near}?` }),
  });
}
