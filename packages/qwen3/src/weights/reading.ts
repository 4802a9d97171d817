/** A weight file opened for the reading of its table: what the system refuses is said the same way for every format. */
import { closeSync, openSync } from "node:fs";
import * as Either from "fp-ts/lib/Either.js";
import { type Checked, messageOf, refuse, WeftError } from "../config/problems.ts";

/** Left: absent, unreadable, or what `read` gives or throws. */
export function reading<A>(file: string, read: (descriptor: number) => Checked<A>): Checked<A> {
  let descriptor: number;
  try {
    descriptor = openSync(file, "r");
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT"
      ? refuse(file, "must exist", { given: "no such file", remedy: "check the path, or fetch the file" })
      : refuse(file, "must be readable", {
          given: messageOf(error),
          remedy: "check the path and its permissions",
        });
  }
  try {
    return read(descriptor);
  } catch (error) {
    if (error instanceof WeftError) return Either.left(error.problems);
    return refuse(file, "must be readable", { given: messageOf(error), remedy: "check the disk" });
  } finally {
    closeSync(descriptor);
  }
}
