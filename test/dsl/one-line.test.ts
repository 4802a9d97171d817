/** Names as parts of lines. */
import { oneLine } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../support/fast-check.ts";

const test = suite("one line");

test("a name without odd characters is itself", () => {
  for (const name of ["model.layers.0.mlp", 'a "quoted" <b>', "größe", "模型", "🧶", ""])
    assert.is(oneLine(name), name);
});

test("what would break the line, move the cursor or turn the text is escaped as JSON escapes it", () => {
  assert.is(
    oneLine("a\nb\r\u001b[2J\u0000\u2028\u2029\u202egnp\u200f"),
    "a\\nb\\r\\u001b[2J\\u0000\\u2028\\u2029\\u202egnp\\u200f",
  );
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (name) => {
      assert.not.match(oneLine(name), /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u);
    }),
  );
});

test.run();
