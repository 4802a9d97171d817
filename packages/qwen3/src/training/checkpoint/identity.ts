/** Compares what a run is with what a checkpoint was saved from: every difference by its key, not the first one only. */
import { type Checked, type Problem, showGiven, unlessProblems, userProblem } from "../../config/problems.ts";
import type { JsonValue } from "../trainable.ts";
import type { RunIdentity } from "./manifest.ts";

/** Differences that are named one by one. */
const mostNamed = 20;

/** Left: one problem for each value that differs, is absent or is new. */
export function checkIdentity(directory: string, saved: RunIdentity, current: RunIdentity): Checked<void> {
  const problems: Problem[] = [];
  let more = 0;
  compare("", saved, current, (key, was, is) => {
    if (problems.length >= mostNamed) more++;
    else if (key.startsWith("frozen.")) {
      problems.push(
        userProblem(directory, "a weight that is not trained must be as the run began with it", {
          given: is === undefined ? "none" : "other values",
          path: key.slice("frozen.".length),
          remedy: "resume with the model that the run began with",
        }),
      );
    } else {
      problems.push(
        userProblem(directory, `${key} must be as in the checkpoint, ${showGiven(was)}`, {
          given: showGiven(is),
          remedy: "resume with the same settings, or start a new run",
        }),
      );
    }
  });
  if (more > 0) {
    problems.push(
      userProblem(directory, "everything must be as in the checkpoint", {
        given: `${more} more differences`,
      }),
    );
  }
  return unlessProblems(problems, () => undefined);
}

type Report = (key: string, saved: unknown, current: unknown) => void;

function compare(
  key: string,
  saved: JsonValue | undefined,
  current: JsonValue | undefined,
  report: Report,
): void {
  if (Object.is(saved, current)) return;
  const bothComposed =
    typeof saved === "object" &&
    typeof current === "object" &&
    saved !== null &&
    current !== null &&
    Array.isArray(saved) === Array.isArray(current);
  if (!bothComposed) {
    report(key, saved, current);
    return;
  }
  const [was, is] = [saved, current] as unknown as Readonly<Record<string, JsonValue>>[];
  for (const name of new Set([...Object.keys(was!), ...Object.keys(is!)])) {
    compare(key === "" ? name : `${key}.${name}`, was![name], is![name], report);
  }
}
