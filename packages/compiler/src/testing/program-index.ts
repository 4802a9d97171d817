/** The program of a plan that an expectation is about. */
import { nearestName } from "@weft/dsl";
import { TestFailure } from "@weft/dsl/testing";
import type { Compiled } from "../compile.ts";

/** @throws TestFailure when there is none of this name, or several to choose from. */
export function programIndex(source: string, compiled: Compiled, name: string | undefined): number {
  const names = compiled.plan.programs.map((program) => program.name);
  const index = name === undefined ? (names.length === 1 ? 0 : -1) : names.indexOf(name);
  if (index < 0) {
    const nearest = name === undefined ? undefined : nearestName(name, names);
    throw new TestFailure(
      name === undefined
        ? `${source}: the plan has several programs; say which: { program: "${names[0]}" } (${names.join(", ")})`
        : `${source}: the plan has no program "${name}"${nearest === undefined ? "" : `; did you mean "${nearest}"?`} (${names.join(", ")})`,
    );
  }
  return index;
}
