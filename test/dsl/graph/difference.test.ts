/** The difference of two texts: right, and as small as it can be. */
import { differenceOfTexts, formatChanges } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../../support/fast-check.ts";

const test = suite("difference of texts");
const words = fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 12 });

/** Lines that both have, in order: by the table of all prefixes. */
function longestCommon(left: readonly string[], right: readonly string[]): number {
  let row = new Array<number>(right.length + 1).fill(0);
  for (const one of left) {
    const next = [0];
    for (let j = 1; j <= right.length; j++) {
      next.push(one === right[j - 1] ? row[j - 1]! + 1 : Math.max(row[j]!, next[j - 1]!));
    }
    row = next;
  }
  return row.at(-1)!;
}

test("changes turn one text into the other, and are as few as possible", () => {
  fc.assert(
    fc.property(words, words, (left, right) => {
      const changes = differenceOfTexts(left.join("\n"), right.join("\n"));
      const [gone, added] = ["-", "+"].map((sign) =>
        changes.filter((one) => one.sign === sign).map((one) => one.line),
      );
      const common = longestCommon(left, right);
      assert.is(gone!.length, left.length - common);
      assert.is(added!.length, right.length - common);
      const count = (list: readonly string[], word: string) => list.filter((one) => one === word).length;
      for (const word of ["a", "b", "c"])
        assert.is(count(left, word) - count(gone!, word), count(right, word) - count(added!, word));
    }),
    { numRuns: 300 },
  );
});

test("texts that have nothing in common, and long ones", () => {
  const text = (word: string, count: number) =>
    Array.from({ length: count }, (_, at) => `${word}${at}`).join("\n");
  assert.is(differenceOfTexts(text("a", 5000), text("b", 5000)).length, 10000);
  const long = text("a", 20000);
  assert.equal(differenceOfTexts(long, long.replace("a77\n", "")), [{ sign: "-", line: "a77", path: "" }]);
});

test("a quoted path heads its lines", () => {
  const line = '  %0 = input() {name: "x"}: f32[]  # "odd path" (silu)';
  assert.is(
    formatChanges(differenceOfTexts("graph", `graph\n${line}`)),
    `  "odd path"\n    + ${line.trim()}`,
  );
});

test.run();
