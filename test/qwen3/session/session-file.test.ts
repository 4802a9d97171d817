// A session file that was edited by hand: what is wrong is named by its key, with what to do about it.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Qwen3, Session } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { addTokenizer, writeCheckpoint } from "../../support/checkpoints.ts";
import { openOn } from "../../support/models.ts";
import { inDirectory, rejectsWith } from "../inference/support.ts";

const test = suite("session file");

type Fields = Record<string, unknown>;

/** In place of the conversation: a text of its own. */
class Raw {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** Rewrites a file's header, with the conversation in its metadata as an object. */
function edit(file: string, change: (session: Fields, header: Record<string, Fields>) => unknown): void {
  const bytes = readFileSync(file);
  const length = Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Record<string, Fields>;
  const session = JSON.parse(header.__metadata__!.session as string) as Fields;
  const replaced = change(session, header);
  header.__metadata__!.session = replaced instanceof Raw ? replaced.text : JSON.stringify(session);
  const edited = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(edited.length));
  writeFileSync(file, Buffer.concat([prefix, edited, bytes.subarray(8 + length)]));
}

async function withSession(work: (model: Qwen3, file: string, save: () => Promise<void>) => Promise<void>) {
  await inDirectory(async (directory) => {
    writeCheckpoint(directory, {
      hidden: 16,
      layers: 1,
      heads: 2,
      kvHeads: 1,
      headDim: 8,
      intermediate: 24,
      vocab: 320,
      eos: [319],
      scale: 0.3,
    });
    addTokenizer(directory);
    using model = await openOn("cpu", directory, { capacity: 256, chunk: 16 });
    const session = new Session(model, { template: "chatml", maxTokens: 4, ignoreEos: true, seed: 1 });
    await session.send("One").finish();
    await session.send("Two").finish();
    const file = join(directory, "chat.session");
    await work(model, file, () => session.save(file));
  });
}

const messages = (session: Fields) => session.messages as Fields[];
const anchors = (session: Fields) => session.anchors as Fields[];

const faults: readonly [what: string, change: (session: Fields) => unknown, ...said: string[]][] = [
  ["no JSON", () => new Raw("{"), 'the metadata "session" must be a JSON object', "save the session again"],
  ["a list", () => new Raw("[]"), 'the metadata "session" must be a JSON object'],
  ["messages", (s) => (s.messages = {}), "messages must be a list; given {}", 'correct "messages"'],
  ["no messages", (s) => delete s.messages, "messages must be a list; given nothing"],
  ["a message", (s) => (messages(s)[1] = 7 as never), "messages[1] must be an object with a role; given 7"],
  ["a role", (s) => (messages(s)[0]!.role = 1), "messages[0].role must be a name, like user; given 1"],
  [
    "no role",
    (s) => delete messages(s)[2]!.role,
    "messages[2].role must be a name, like user; given nothing",
  ],
  ["content", (s) => (messages(s)[0]!.content = 1), "messages[0].content must be a string, or a list"],
  ["turns", (s) => (s.turns = "2"), 'turns must be an integer of at least 0; given "2"'],
  ["text", (s) => (s.text = null), "text must be a string; given null"],
  ["anchors", (s) => (s.anchors = 1), "anchors must be a list; given 1"],
  ["an anchor", (s) => (anchors(s)[0] = null as never), "anchors[0] must be an object with text and tokens"],
  [
    "an anchor behind the text",
    (s) => (anchors(s)[0]!.text = 1e6),
    "anchors[0].text must be an integer from 0 to",
  ],
  [
    "an anchor behind the tokens",
    (s) => (anchors(s)[1]!.tokens = 1e6),
    "anchors[1].tokens must be an integer from 0",
  ],
  [
    "anchors in disorder",
    (s) => anchors(s).reverse(),
    "anchors[1] must be at or behind the anchor before it",
  ],
  ["dropped", (s) => (s.dropped = -1), "dropped must be an integer from 0 to"],
  ["rendering", (s) => (s.rendering = []), "rendering must be an object; given []"],
  [
    "a template",
    (s) => (s.rendering = { template: 1 }),
    "rendering.template must be the name of a chat template",
  ],
  ["tools", (s) => (s.rendering = { tools: {} }), "rendering.tools must be a list"],
  [
    "thinking",
    (s) => (s.rendering = { enableThinking: "no" }),
    "rendering.enableThinking must be true or false",
  ],
  ["variables", (s) => (s.rendering = { variables: [] }), "rendering.variables must be an object"],
  [
    "a misspelt option",
    (s) => (s.rendering = { templat: "chatml" }),
    "templat must be absent",
    'did you mean "template"?',
  ],
  ["a misspelt key", (s) => (s.turn = 1), "turn must be absent", 'did you mean "turns"?'],
];

test("a wrong field is named, with the file and a remedy", async () => {
  await withSession(async (model, file, save) => {
    for (const [what, change, ...said] of faults) {
      await save();
      edit(file, change);
      try {
        await rejectsWith(async () => Session.restore(model, file), "chat.session", ...said);
      } catch (error) {
        throw new Error(`${what}: ${(error as Error).message}`);
      }
    }
  });
});

test("all wrong fields are told at once", async () => {
  await withSession(async (model, file, save) => {
    await save();
    edit(file, (session) => {
      session.turns = -1;
      messages(session)[0]!.role = null;
    });
    await rejectsWith(async () => Session.restore(model, file), "turns must be", "messages[0].role must be");
  });
});

test("a file without its tokens", async () => {
  await withSession(async (model, file, save) => {
    await save();
    edit(file, (_, header) => {
      header.toknes = header.tokens!;
      delete header.tokens;
    });
    await rejectsWith(
      async () => Session.restore(model, file),
      'must hold the tensor "tokens"',
      "no such tensor",
    );
  });
});

test("messages may be edited where they stay messages", async () => {
  await withSession(async (model, file, save) => {
    await save();
    edit(file, (session) => (messages(session)[0]!.content = "Another one"));
    using session = Session.restore(model, file, { maxTokens: 2, ignoreEos: true });
    assert.is(session.messages[0]!.content, "Another one");
    assert.is((await session.send("Three").finish()).report.turn, 3);
  });
});

test.run();
