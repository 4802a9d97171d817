/** What an expectation of the kit says when it fails. */
import { TestFailure } from "@weft/dsl/testing";
import * as assert from "uvu/assert";

export function failureOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    assert.instance(error, TestFailure);
    return (error as TestFailure).message;
  }
  throw new Error("the expectation held");
}
