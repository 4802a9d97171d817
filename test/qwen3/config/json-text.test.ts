import { editDistance, nearestName } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { jsonMembers } from "../../../packages/qwen3/src/config/json-text.ts";
import fc from "../../support/fast-check.ts";

const test = suite("qwen3/config: JSON text and nearest names");

test("the members of any JSON object are found with their values, however it is written", () => {
  const indents = fc.constantFrom(undefined, 1, "\t");
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), indents, (object, indent) => {
      const text = JSON.stringify(object, null, indent);
      const plain = JSON.parse(text) as Record<string, unknown>;
      const members = [...jsonMembers(text)].map(({ key, begin, end }) => [
        key,
        JSON.parse(text.slice(begin, end)),
      ]);
      assert.equal(members, Object.entries(plain));
    }),
    { numRuns: 200 },
  );
});

test("duplicates stay visible, also when escaped differently", () => {
  const text = '{"a": 1, "b" : {"a": 2}, "\\u0061": [3, "}"], "q\\"\\\\": null}';
  assert.equal(
    [...jsonMembers(text)].map(({ key, begin, end }) => [key, text.slice(begin, end).trim()]),
    [
      ["a", "1"],
      ["b", '{"a": 2}'],
      ["a", '[3, "}"]'],
      ['q"\\', "null"],
    ],
  );
});

test("it ends on any text", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom("{", "}", "[", "]", '"', "\\", ":", ",", "a", " ", "1") }),
      (text) => {
        assert.ok([...jsonMembers(text)].length <= text.length);
        assert.ok([...jsonMembers(`{"a":${text}`)].length <= text.length + 1);
      },
    ),
    { numRuns: 500 },
  );
});

test("edit distance is symmetric, zero only for equals, and the limit only cuts off", () => {
  assert.is(editDistance("kitten", "sitting"), 3);
  fc.assert(
    fc.property(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), fc.nat(8), (left, right, limit) => {
      const distance = editDistance(left, right);
      assert.is(distance, editDistance(right, left));
      assert.is(distance === 0, left === right);
      assert.is(editDistance(left, right, limit), Math.min(distance, limit + 1));
    }),
  );
});

test("only a plausible misspelling is suggested, the nearest first", () => {
  const names = ["model.norm.weight", "lm_head.weight", "model.embed_tokens.weight"];
  assert.is(nearestName("model.nrom.weight", names), "model.norm.weight");
  assert.is(nearestName("model.embed_token.weight", names), "model.embed_tokens.weight");
  assert.is(nearestName("something.else", names), undefined);
  assert.is(nearestName("ab", ["cd"]), undefined);
  assert.is(nearestName("hidden", ["hidde", "hidden"]), "hidden");
});

test.run();
