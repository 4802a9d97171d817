/** Sessions: only what is new is run, turns are closed, and the cache always holds the tokens of the context. */
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type ChatMessage,
  generate,
  type Qwen3,
  Session,
  type SessionOptions,
  type TurnResult,
} from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { addTokenizer, type CheckpointShape, writeCheckpoint } from "../../support/checkpoints.ts";
import { largestDifference } from "../../support/largest-difference.ts";
import { type DeviceName, devicesHere, openOn } from "../../support/models.ts";
import { inDirectory, rejectsWith } from "../inference/support.ts";

const shape: CheckpointShape = {
  hidden: 16,
  layers: 2,
  heads: 2,
  kvHeads: 1,
  headDim: 8,
  intermediate: 24,
  vocab: 320,
  eos: [319],
  scale: 0.3,
};

function sessionsOn(device: Exclude<DeviceName, "interpreter">): void {
  const test = suite(`session on ${device}`);

  const withModel = (work: (model: Qwen3, directory: string) => Promise<void>, capacity = 256) =>
    inDirectory(async (directory) => {
      writeCheckpoint(directory, shape);
      addTokenizer(directory);
      using model = await openOn(device, directory, { capacity, chunk: 16 });
      await work(model, directory);
    });

  /** Sampled hot, so that random weights say many things. */
  const chatml: SessionOptions = { template: "chatml", temperature: 1, maxTokens: 9 };

  /** The logits behind a session's cache are those of a fresh prefill of its tokens. */
  async function holds(model: Qwen3, session: Session): Promise<void> {
    const next = [65, 66];
    using fresh = model.createContext();
    fresh.reset(session.dropped);
    const expected = (await fresh.append([...session.tokens, ...next])).slice();
    using copy = model.createContext();
    copy.restore(await session.context.save());
    assert.equal(copy.tokens, session.tokens);
    const difference = largestDifference([await copy.append(next)], [expected]);
    assert.ok(difference <= 1e-4, `logits differ by ${difference}`);
  }

  test("each turn runs only what is new", async () => {
    await withModel(async (model) => {
      const session = new Session(model, { ...chatml, system: "Be brief.", seed: 4, ignoreEos: true });
      const reports = [];
      for (const text of ["Hello", "How are you?", "Good bye"]) {
        const { report } = await session.send(text).finish();
        reports.push(report);
        assert.is(session.tokens.length, report.contextAfter);
      }
      const tokenizer = model.tokenizer();
      const opening = async (text: string) =>
        (await tokenizer.encode(`<|im_start|>user\n${text}<|im_end|>\n<|im_start|>assistant\n`)).length;
      assert.is(reports[0]!.reused, 0);
      assert.is(reports[0]!.contextBefore, 0);
      for (const [index, text] of ["How are you?", "Good bye"].entries()) {
        const [before, report] = [reports[index]!, reports[index + 1]!];
        assert.is(report.contextBefore, before.contextAfter);
        assert.is(report.reused, before.contextAfter, "nothing of the former turns is run again");
        assert.is(report.prefilled, await opening(text));
        assert.is(report.promptTokens, report.reused + report.prefilled);
        assert.is(report.generated, 9);
        // The last token of the answer and <|im_end|>\n.
        assert.is(report.closing, 3);
        assert.is(report.contextAfter, report.promptTokens + 9 + 2);
      }
      assert.is(session.turns, 3);
      assert.equal(
        session.messages.map(({ role }) => role),
        ["system", "user", "assistant", "user", "assistant", "user", "assistant"],
      );
      await holds(model, session);
    });
  });

  test("a turn is closed however its answer ends", async () => {
    await withModel(async (model) => {
      const closed = async (options: Parameters<Session["send"]>[1], finish: string, abortAfter = 0) => {
        const session = new Session(model, { ...chatml, seed: 2 });
        const controller = new AbortController();
        const turn = session.send("Hello", { ...options, signal: controller.signal });
        let count = 0;
        for await (const _ of turn) if (++count === abortAfter) controller.abort();
        const { report, message } = turn.result!;
        assert.is(report.finish, finish);
        const text = `<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n${message!.content}<|im_end|>\n`;
        assert.is(model.tokenizer().decode(session.tokens, { skipSpecial: false }), text);
        assert.is(session.tokens.length, report.contextAfter);
        await holds(model, session);
        const next = await session.send("More").finish();
        assert.is(next.report.reused, report.contextAfter);
        return turn.result!;
      };
      const free = await closed({ maxTokens: 20, ignoreEos: true }, "length");
      const tokens = model
        .tokenizer()
        .decode((await generatedTokens(model)).slice(0, 20), { skipSpecial: false });
      assert.is(free.message!.content, tokens);
      const stop = (await generatedTokens(model))[5]!;
      await closed({ maxTokens: 20, stopTokenIds: [stop] }, "stop-token");
      const cut = await closed({ maxTokens: 20, ignoreEos: true, stop: [[...free.text][7]!] }, "stop-string");
      assert.ok(free.text.startsWith(cut.message!.content as string));
      await closed({ maxTokens: 20, ignoreEos: true }, "abort", 4);
    });

    async function generatedTokens(model: Qwen3): Promise<readonly number[]> {
      const prompt = await model
        .tokenizer()
        .encode("<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n");
      return (
        await generate(model, prompt, { temperature: 1, seed: 2, maxTokens: 20, ignoreEos: true }).finish()
      ).tokens;
    }
  });

  test("a reader that goes away ends its turn as an abort does", async () => {
    await withModel(async (model) => {
      const session = new Session(model, { ...chatml, ignoreEos: true });
      let count = 0;
      for await (const _ of session.send("Hello")) if (++count === 2) break;
      assert.is(session.turns, 1);
      assert.equal(session.tokens.slice(-2), await model.tokenizer().encode("<|im_end|>\n"));
      await holds(model, session);
      assert.is((await session.send("Again").finish()).report.generated, 9);
    });
  });

  test("a turn that is aborted before its first token leaves the conversation as it was, and its work is kept", async () => {
    await withModel(async (model) => {
      const session = new Session(model, { ...chatml, ignoreEos: true });
      await session.send("Hello").finish();
      const before = session.messages;
      const controller = new AbortController();
      const long = "a long question ".repeat(6);
      const { report, message } = await session
        .send(long, { signal: controller.signal, onPrefill: (done) => done >= 32 && controller.abort() })
        .finish();
      assert.is(message, undefined);
      assert.is(report.finish, "abort");
      assert.equal(session.messages, before);
      assert.is(session.turns, 1);
      assert.is(session.tokens.length, report.contextAfter);
      const again = (await session.send(long).finish()).report;
      assert.is(again.reused, report.contextAfter, "what was run before the abort is not run again");
      await holds(model, session);
      // Another question instead: cut back to what is true.
      const other = new Session(model, { ...chatml, ignoreEos: true });
      await other.send("Hello").finish();
      const length = other.tokens.length;
      await other.send(long, { signal: AbortSignal.abort() }).finish();
      assert.is((await other.send("Short").finish()).report.reused, length);
    });
  });

  test("replay and reuse give the same answers; the counts differ", async () => {
    await withModel(async (model) => {
      const run = async (history: "reuse" | "replay") => {
        const session = new Session(model, { ...chatml, history, temperature: 0, ignoreEos: true });
        const results: TurnResult[] = [];
        for (const text of ["One", "Two", "Three"]) results.push(await session.send(text).finish());
        return { results, tokens: session.tokens };
      };
      const [reuse, replay] = [await run("reuse"), await run("replay")];
      assert.equal(
        replay.results.map(({ text }) => text),
        reuse.results.map(({ text }) => text),
      );
      assert.equal(replay.tokens, reuse.tokens);
      assert.equal(
        replay.results.map(({ report }) => report.reused),
        [0, 0, 0],
      );
      assert.ok(reuse.results[2]!.report.reused > 0);
    });
  });

  test("replay: a turn that the template refuses leaves conversation and cache as they were", async () => {
    await withModel(async (model, directory) => {
      const session = new Session(model, { maxTokens: 3, ignoreEos: true, history: "replay" });
      await session.send("One").finish();
      const before = [...session.tokens];
      const refused = [
        { role: "user", content: "a" },
        { role: "system", content: "b" },
      ];
      await rejectsWith(() => session.send(refused).finish(), "a system message must come first");
      assert.equal(session.tokens, before);
      const file = join(directory, "session.safetensors");
      await session.save(file);
      assert.equal(Session.restore(model, file).tokens, before);
    });
  });

  test("a template that drops earlier thoughts costs the turns it changes, and no more", async () => {
    await withModel(async (model) => {
      // The project's own template: it keeps thoughts only behind the last question.
      const history: ChatMessage[] = [
        { role: "user", content: "first question" },
        { role: "assistant", content: "plain answer" },
        { role: "user", content: "second question" },
      ];
      const session = new Session(model, { temperature: 1, maxTokens: 5, ignoreEos: true });
      const first = (await session.send(history).finish()).report;
      assert.is(first.finish, "length");
      // As if the model had thought: the answer of the last turn begins with a thought.
      const thought = `<think>\nhm\n</think>\n\nanswer`;
      session.replaceMessages([...history, { role: "assistant", content: thought }]);
      await session.send("third question").finish();
      const before = session.tokens.length;
      assert.not.match(model.tokenizer().decode(session.tokens, { skipSpecial: false }), /hm/);
      const next = (await session.send("fourth question").finish()).report;
      assert.is(next.reused, before, "an answer without thoughts is an extension");
      await holds(model, session);
    });
  });

  test("a history that is sent again reuses its common beginning; a system message begins anew", async () => {
    await withModel(async (model) => {
      const session = new Session(model, { ...chatml, temperature: 0, ignoreEos: true });
      await session
        .send([
          { role: "system", content: "Be brief." },
          { role: "user", content: "One" },
        ])
        .finish();
      const firstTurn = session.tokens.length;
      await session.send("Two").finish();
      const whole = session.messages;
      const length = session.tokens.length;
      const resent = (await session.send([...whole, { role: "user", content: "Three" }]).finish()).report;
      assert.is(resent.reused, length);
      assert.is(session.messages.length, 7);
      // The second question edited: all before it stays.
      const edited = [...whole.slice(0, 3), { role: "user", content: "Other" }];
      const report = (await session.send(edited, { replaceHistory: true }).finish()).report;
      // The first turn, and the beginning of the question.
      const opening = await model.tokenizer().encode("<|im_start|>user\n");
      assert.is(report.reused, firstTurn + opening.length);
      assert.is(session.messages.length, 5);
      await holds(model, session);
      // Another system message changes everything behind `<|im_start|>system\n`.
      const anew = (
        await session
          .send([
            { role: "system", content: "Sing." },
            { role: "user", content: "One" },
          ])
          .finish()
      ).report;
      assert.is(anew.reused, (await model.tokenizer().encode("<|im_start|>system\n")).length);
      assert.is(session.messages.length, 3);
      await holds(model, session);
    });
  });

  test("what does not fit is refused with the numbers, and the session goes on", async () => {
    await withModel(async (model) => {
      const session = new Session(model, { ...chatml, ignoreEos: true });
      await session.send("Hello").finish();
      const tokens = [...session.tokens];
      await rejectsWith(() => session.send("x".repeat(100)).finish(), "capacity of 64 tokens", "drop-oldest");
      assert.equal(session.tokens, tokens);
      assert.is(session.messages.length, 2);
      assert.is((await session.send("Hi", { maxTokens: 1 }).finish()).report.reused, tokens.length);
      // An answer ends where there is still room to close the turn.
      const full = new Session(model, { ...chatml, maxTokens: 1000, ignoreEos: true });
      const { report } = await full.send("Hello").finish();
      assert.is(report.finish, "capacity");
      assert.is(report.contextAfter, 64);
      await holdsClosed(model, full);
    }, 64);

    async function holdsClosed(model: Qwen3, session: Session) {
      assert.equal(session.tokens.slice(-2), await model.tokenizer().encode("<|im_end|>\n"));
    }
  });

  test("with drop-oldest a chat goes on for ever, at its absolute positions", async () => {
    await withModel(async (model) => {
      const session = new Session(model, { ...chatml, clip: "drop-oldest", ignoreEos: true, maxTokens: 7 });
      let moved = 0;
      for (let turn = 0; turn < 12; turn++) {
        const { report } = await session.send(`question ${turn}`).finish();
        assert.is(session.tokens.length, report.contextAfter);
        assert.ok(session.tokens.length <= 64);
        assert.is(report.dropped % 16, 0, "a quarter of the capacity at once");
        if (report.dropped > 0) moved++;
        assert.equal(session.tokens.slice(-2), [319, 10]);
      }
      assert.ok(session.dropped > 64 && moved < 12, "in some turns only");
      const whole = await model
        .tokenizer()
        .encode(
          session.messages.map(({ role, content }) => `<|im_start|>${role}\n${content}<|im_end|>\n`).join(""),
        );
      assert.ok(whole.length > 128);
    }, 64);
  });

  test("a session is saved and restored; both go on alike", async () => {
    await withModel(async (model, directory) => {
      const file = join(directory, "chat.session");
      const options: SessionOptions = { temperature: 1, maxTokens: 6, ignoreEos: true, seed: 5 };
      const session = new Session(model, {
        ...options,
        system: "Sing.",
        template: "chatml",
        enableThinking: false,
      });
      await session.send("One").finish();
      await session.send("Two").finish();
      await session.save(file);
      using other = await openOn("cpu", directory, { capacity: 200, chunk: 3, threads: 1 });
      const copy = Session.restore(other, file, options);
      assert.equal(copy.tokens, session.tokens);
      assert.equal(copy.messages, session.messages);
      assert.is(copy.turns, 2);
      const [a, b] = [await session.send("Three").finish(), await copy.send("Three").finish()];
      assert.is(b.text, a.text);
      assert.is(b.report.reused, a.report.reused);
      assert.equal(copy.tokens, session.tokens);
      // The file follows the length of the context, not the capacity: keys and values of each layer, in f32.
      const perToken = 2 * shape.layers * shape.kvHeads * shape.headDim * 4;
      assert.ok(statSync(file).size < perToken * session.tokens.length + 8000);
    });
  });

  test("a foreign or damaged session file is refused", async () => {
    const eights = [{ pattern: "model.layers.*.self_attn.*", format: "fp8" }] as const;
    const blocks = [{ pattern: "model.layers.*.self_attn.*", format: "nvfp4" }] as const;
    await withModel(async (model, directory) => {
      const file = join(directory, "chat.session");
      const session = new Session(model, { ...chatml, ignoreEos: true });
      await session.send("One").finish();
      await session.save(file);
      const refused = (target: Qwen3, path: string, ...parts: string[]) =>
        rejectsWith(async () => Session.restore(target, path), ...parts);
      await refused(model, join(directory, "none.session"), "must exist");
      await refused(model, join(directory, "model.safetensors"), "weft-session-1");
      writeFileSync(join(directory, "short.session"), Buffer.alloc(100, 1));
      await refused(model, join(directory, "short.session"), "short.session");
      await rejectsWith(
        () => session.save(join(directory, "no such folder", "a.session")),
        "must be writable",
      );
      using rounded = await openOn("cpu", directory, { capacity: 64, dtype: "bf16" });
      await refused(rounded, file, "same model, dtype and quantisation");
      using coded = await openOn("cpu", directory, { capacity: 64, quantize: eights });
      await refused(coded, file, "same model, dtype and quantisation");
      const ofCoded = join(directory, "coded.session");
      await new Session(coded, { ...chatml, ignoreEos: true }).save(ofCoded);
      using inBlocks = await openOn("cpu", directory, { capacity: 64, quantize: blocks });
      await refused(inBlocks, ofCoded, "same model, dtype and quantisation");
      using narrow = await openOn("cpu", directory, { capacity: session.tokens.length - 1 });
      await refused(narrow, file, `capacity of ${session.tokens.length - 1} tokens`);
      writeCheckpoint(directory, { ...shape, seed: 99 });
      using other = await openOn("cpu", directory, { capacity: 64 });
      await refused(other, file, "same model, dtype and quantisation");
    });
  });

  test("sessions of one model take turns, also token by token", async () => {
    await withModel(async (model) => {
      const alone = async (text: string) => {
        const session = new Session(model, { ...chatml, ignoreEos: true, seed: 1 });
        return (await session.send(text).finish()).text;
      };
      const expected = [await alone("One"), await alone("Two")];
      const sessions = [0, 1].map(() => new Session(model, { ...chatml, ignoreEos: true, seed: 1 }));
      const turns = [sessions[0]!.send("One"), sessions[1]!.send("Two")];
      const readers = turns.map((turn) => turn[Symbol.asyncIterator]());
      const texts = ["", ""];
      for (let open = 2; open > 0; ) {
        open = 0;
        for (const [index, reader] of readers.entries()) {
          const next = await reader.next();
          if (next.done) continue;
          open++;
          texts[index] += next.value.text;
        }
      }
      assert.equal(texts, expected);
      for (const session of sessions) await holds(model, session);
    });
  });

  test("misuse is told", async () => {
    await withModel(async (model) => {
      const session = new Session(model, { ...chatml, ignoreEos: true });
      await rejectsWith(() => session.send([]).finish(), "at least one message");
      const turn = session.send("One");
      const reader = turn[Symbol.asyncIterator]();
      await reader.next();
      await rejectsWith(() => session.send("Two").finish(), "read to its end");
      assert.throws(() => session.replaceMessages([]), /read to its end/);
      await reader.return();
      assert.is((await session.send("Two").finish()).report.turn, 2);
      await rejectsWith(() => session.send("x", { topP: 3 }).finish(), "topP");
      assert.is(session.turns, 2);
      // The project's template refuses a system message in the middle.
      const strict = new Session(model, { maxTokens: 2, ignoreEos: true });
      await rejectsWith(
        () =>
          strict
            .send([
              { role: "user", content: "a" },
              { role: "system", content: "b" },
            ])
            .finish(),
        "a system message must come first",
      );
      await rejectsWith(
        () => new Session(model, { template: "other" }).send("a").finish(),
        'template named "other"',
      );
    });
  });

  test.run();
}

for (const device of await devicesHere()) sessionsOn(device);
