import * as Either from "fp-ts/lib/Either.js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { StopStrings } from "../../../packages/qwen3/src/text/index.ts";
import fc from "../../support/fast-check.ts";

const test = suite("qwen3/text: stop strings");

const create = (...stops: string[]) => {
  const result = StopStrings.create(stops);
  if (Either.isLeft(result)) throw new Error("refused");
  return result.right;
};

function run(
  stops: string[],
  pieces: string[],
): { text: string; stopped: string | undefined; shown: string[] } {
  const matcher = create(...stops);
  const shown: string[] = [];
  for (const piece of pieces) {
    const { text, stopped } = matcher.push(piece);
    shown.push(text);
    if (stopped !== undefined) return { text: shown.join(""), stopped, shown };
  }
  shown.push(matcher.flush());
  return { text: shown.join(""), stopped: undefined, shown };
}

test("a stop string across pieces ends the text before it", () => {
  assert.equal(run(["END"], ["some E", "N", "D more"]), {
    text: "some ",
    stopped: "END",
    shown: ["some ", "", ""],
  });
  assert.equal(run(["\n\n"], ["a\n", "b\n", "\nc"]), {
    text: "a\nb",
    stopped: "\n\n",
    shown: ["a", "\nb", ""],
  });
});

test("only what may begin a stop string is held back, and it is let go when it does not", () => {
  assert.equal(run(["END"], ["E", "x", "EN", "E", "z"]).shown, ["", "Ex", "", "EN", "Ez", ""]);
  assert.equal(run(["aab"], ["aa", "a", "a", "c"]).shown, ["", "a", "a", "aac", ""]);
  assert.equal(run(["END"], ["an EN"]).shown, ["an ", "EN"]);
  assert.equal(run([], ["a", "b"]).shown, ["a", "b", ""]);
});

test("the first completed wins, the longest of those completed together", () => {
  assert.equal(run(["abcx", "bc"], ["abc"]).text, "a");
  assert.equal(run(["bc", "abc"], ["zabc"]), { text: "z", stopped: "abc", shown: ["z"] });
  assert.equal(run(["ab", "abc"], ["abc"]).stopped, "ab");
});

test("after a stop nothing more comes", () => {
  const matcher = create("x");
  assert.is(matcher.push("ax").stopped, "x");
  assert.equal(matcher.push("more"), { text: "", stopped: "x" });
  assert.is(matcher.flush(), "");
});

test("the result does not depend on how the text is cut", () => {
  const letters = fc.constantFrom("a", "b", "🙂");
  const text = fc.string({ unit: letters, maxLength: 20 });
  const stops = fc.array(fc.string({ unit: letters, minLength: 1, maxLength: 4 }), { maxLength: 3 });
  fc.assert(
    fc.property(text, stops, fc.array(fc.nat(5)), (whole, list, cuts) => {
      const characters = [...whole];
      const pieces: string[] = [];
      for (const cut of cuts) pieces.push(characters.splice(0, cut).join(""));
      pieces.push(characters.join(""));
      const cutUp = run(list, pieces);
      const atOnce = run(list, [whole]);
      assert.is(cutUp.text, atOnce.text);
      assert.is(cutUp.stopped, atOnce.stopped);
      assert.ok(whole.startsWith(cutUp.text));
      assert.ok(!list.some((stop) => cutUp.text.includes(stop)));
      if (cutUp.stopped === undefined) assert.is(cutUp.text, whole);
      else assert.ok(whole.startsWith(cutUp.text + cutUp.stopped));
    }),
    { numRuns: 500 },
  );
});

test("an empty stop string is refused", () => {
  const result = StopStrings.create(["a", ""]);
  assert.ok(Either.isLeft(result));
  assert.is(result.left[0].requirement, "a stop string must not be empty");
});

test.run();
