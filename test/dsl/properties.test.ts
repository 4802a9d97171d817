/** What a property that fails says. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../support/fast-check.ts";

const test = suite("properties");

test("the message of a failure names its cause", () => {
  const failing = fc.property(fc.nat(), () => {
    throw new Error("because of this");
  });
  assert.throws(() => fc.assert(failing), /Counterexample: \[0\](.|\n)*because of this/);
});

test.run();
