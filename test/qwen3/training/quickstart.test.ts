/** The quickstart learns: fewer questions and steps than `npm start` has, and the same way from text to answers. */
import { openQwen3 } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { score } from "../../../examples/quickstart/ask.ts";
import { learn } from "../../../examples/quickstart/learn.ts";
import { conversation, makeQuestions } from "../../../examples/quickstart/questions.ts";
import { inDirectory } from "../inference/support.ts";

const test = suite("quickstart");

test("held-out questions are answered, nine of ten at least", async () => {
  const { learnt, heldOut } = makeQuestions({ seed: 1, animals: 8, largestTerm: 4 });
  await inDirectory(async (folder) => {
    const losses: number[] = [];
    const directory = await learn({
      folder,
      questions: learnt,
      steps: 300,
      onStep: ({ loss }) => losses.push(loss!),
    });
    assert.is(losses.length, 300);
    using model = await openQwen3(directory, { capacity: 128, chunk: 64, planCache: false });
    for (const { kind, right, asked } of await score(model, heldOut)) {
      assert.ok(asked >= 6, `${kind}: ${asked}`);
      if (kind !== "new sum") assert.ok(right / asked >= 0.9, `${kind}: ${right} of ${asked}`);
    }
  });
});

test("what is held out is never shown, and what it asks for is", () => {
  const { learnt, heldOut } = makeQuestions({ seed: 1 });
  const shown = new Set(
    Array.from({ length: 20_000 }, (_, index) => conversation(learnt, 7, index)).flatMap((messages) =>
      messages.map(({ content }) => content),
    ),
  );
  assert.ok(heldOut.every(({ text }) => !shown.has(text)));
  const answers = new Set(learnt.map(({ answer }) => answer));
  assert.ok(heldOut.every(({ answer, kind }) => kind === "new sum" || answers.has(answer)));
  assert.ok(shown.size > 700);
});

test.run();
