/** Random conversations keep the invariants: whatever is sent, edited, cut short or refused. */
import { type ChatMessage, type Qwen3, Session } from "@weft/qwen3";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { addTokenizer, type CheckpointShape, writeCheckpoint } from "../../support/checkpoints.ts";
import fc from "../../support/fast-check.ts";
import { largestDifference } from "../../support/largest-difference.ts";
import { openOn } from "../../support/models.ts";
import { inDirectory } from "../inference/support.ts";

const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 8 }),
  fc.constantFrom("<think>\nwhy\n</think>\n\nso", "a\n\n b", "<|im_end|>", "\n", "é漢🙂", ""),
);

const action = fc.record({
  kind: fc.constantFrom("say", "say", "say", "abort", "leave", "edit", "refused", "restart"),
  text,
  tokens: fc.integer({ min: 1, max: 6 }),
  keep: fc.nat(6),
  stop: fc.option(fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 1 }), { nil: undefined }),
});
type Action = typeof action extends fc.Arbitrary<infer A> ? A : never;

async function perform(session: Session, { kind, text, tokens, keep, stop }: Action): Promise<void> {
  const options = { maxTokens: tokens, ...(stop === undefined ? {} : { stop: [stop] }) };
  const before = { messages: session.messages, turns: session.turns };
  switch (kind) {
    case "say": {
      const { report, message } = await session.send(text, options).finish();
      assert.is(report.contextAfter, session.tokens.length);
      if (session.dropped === 0) assert.is(report.promptTokens, report.reused + report.prefilled);
      assert.ok(report.generated <= tokens && message !== undefined);
      assert.is(session.turns, before.turns + 1);
      return;
    }
    case "abort": {
      const controller = new AbortController();
      const turn = session.send(text, { ...options, signal: controller.signal });
      let count = 0;
      if (tokens === 1) controller.abort();
      for await (const _ of turn) if (++count === tokens - 1) controller.abort();
      return;
    }
    case "leave": {
      let count = 0;
      for await (const _ of session.send(text, options)) if (++count >= tokens) break;
      return;
    }
    case "edit": {
      const kept = session.messages.slice(0, keep * 2) as ChatMessage[];
      await session
        .send([...kept, { role: "user", content: text }], { ...options, replaceHistory: true })
        .finish();
      assert.is(session.messages.length, kept.length + 2);
      return;
    }
    case "refused": {
      try {
        await session.send("too long ".repeat(60), options).finish();
        assert.unreachable();
      } catch (error) {
        assert.match((error as Error).message, "capacity of 400 tokens");
      }
      assert.equal(session.messages, before.messages);
      assert.is(session.turns, before.turns);
      return;
    }
    case "restart": {
      await session
        .send(
          [
            { role: "system", content: text },
            { role: "user", content: "x" },
          ],
          options,
        )
        .finish();
      assert.is(session.messages.length, 3);
      return;
    }
  }
}

/** The cache of a session, continued, against a fresh prefill of the same tokens. */
async function holds(model: Qwen3, session: Session): Promise<void> {
  if (session.tokens.length === 0) return;
  using fresh = model.createContext();
  fresh.reset(session.dropped);
  // The last token is run again, so that a full cache can be looked at, too.
  const expected = (await fresh.append(session.tokens)).slice();
  using copy = model.createContext();
  copy.restore(await session.context.save());
  copy.truncate(session.tokens.length - 1);
  const logits = await copy.append(session.tokens.slice(-1));
  const difference = largestDifference([logits], [expected]);
  assert.ok(difference <= 1e-4, `logits differ by ${difference}`);
  const greedy = (values: Float32Array) => values.indexOf(Math.max(...values));
  assert.is(greedy(logits), greedy(expected));
}

const shape: CheckpointShape = {
  hidden: 16,
  layers: 2,
  heads: 2,
  kvHeads: 1,
  headDim: 8,
  intermediate: 24,
  vocab: 320,
  scale: 0.3,
};

for (const template of [undefined, "chatml"]) {
  test(`random conversations, template ${template ?? "of the checkpoint"}`, async () => {
    await inDirectory(async (directory) => {
      writeCheckpoint(directory, shape);
      addTokenizer(directory);
      using model = await openOn("cpu", directory, { capacity: 400, chunk: 32 });
      await fc.assert(
        fc.asyncProperty(
          fc.array(action, { minLength: 1, maxLength: 5 }),
          fc.nat(99),
          async (actions, seed) => {
            using session = new Session(model, { template, seed, temperature: 1 });
            for (const one of actions) {
              await perform(session, one);
              const { context } = session;
              assert.is(context.length, context.tokens.length);
              assert.is(context.dropped, 0);
              assert.is(session.tokens.length, context.length);
              if (session.turns > 0 && one.kind !== "abort") {
                const closing = await model.tokenizer().encode("<|im_end|>\n");
                if (one.kind !== "refused") assert.equal(session.tokens.slice(-2), closing);
              }
              await holds(model, session);
            }
          },
        ),
        { numRuns: 12 },
      );
    });
  });
}

test("random conversations that let go of their beginning", async () => {
  await inDirectory(async (directory) => {
    // With one layer a key depends on its token and position alone, so a fresh prefill says what the cache must hold.
    writeCheckpoint(directory, { ...shape, layers: 1 });
    addTokenizer(directory);
    using model = await openOn("cpu", directory, { capacity: 48, chunk: 16 });
    const small = action.filter(
      ({ kind }) => kind === "say" || kind === "leave" || kind === "abort" || kind === "edit",
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(small, { minLength: 4, maxLength: 10 }),
        fc.nat(99),
        async (actions, seed) => {
          using session = new Session(model, {
            template: "chatml",
            seed,
            temperature: 1,
            clip: "drop-oldest",
          });
          for (const one of actions) {
            const { turns } = session;
            await perform(session, one);
            assert.ok(session.tokens.length <= 48);
            if (session.turns > turns) {
              assert.equal(session.tokens.slice(-2), await model.tokenizer().encode("<|im_end|>\n"));
            }
            await holds(model, session);
          }
        },
      ),
      { numRuns: 12 },
    );
  });
});

test.run();
