/** Conversations: from files and pipes, logged and replayed. */
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { root, run, tiny, weft, weftProcess } from "./command.ts";

const test = suite("chat");
const folder = mkdtempSync(join(tmpdir(), "weft-chat-"));
const model = join(folder, "model");
const at = (name: string) => join(folder, name);
const linesOf = (file: string) =>
  readFileSync(file, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

test.before(() => {
  cpSync(tiny, model, { recursive: true });
  cpSync(join(root, "test/fixtures/chat-template/chat_template.jinja"), join(model, "chat_template.jinja"));
  writeFileSync(at("turns.txt"), "Hello there\n\nAnd again\n");
});
test.after(() => rmSync(folder, { recursive: true, force: true }));

test("turns of a text file are answered, logged, and replayed with equal answers", async () => {
  const log = at("talk.jsonl");
  const options = ["--max-tokens", "12", "--temperature", "0.8", "--seed", "3", "--system", "Be brief."];
  const talk = await weft("chat", model, "--turns", at("turns.txt"), "--log", log, ...options);
  assert.is(talk.code, 0, talk.stderr);
  const lines = linesOf(log);
  assert.equal(
    lines.map((line) => line.role),
    ["system", "user", "assistant", "user", "assistant"],
  );
  assert.is(lines[1].content, "Hello there");
  const [, , first, , second] = lines;
  assert.is(talk.stdout, `${first.content}\n${second.content}\n`);
  assert.is(first.reused, 0);
  // The second turn reads only what is new.
  assert.ok(second.reused >= first.contextTokens - 1);
  assert.ok(second.timing.firstTokenMilliseconds > 0);

  const replayed = await weft("chat", model, "--replay", log);
  assert.is(replayed.code, 0, replayed.stdout + replayed.stderr);
  assert.match(replayed.stdout, /^turn 1: equal, \d+ characters\nturn 2: equal, \d+ characters\n$/);
});

test("a full context ends a chat or loses its beginning, as --clip says; a replay does the same", async () => {
  const log = at("clipped.jsonl");
  const options = ["--capacity", "64", "--max-tokens", "6", "--temperature=0", "--template", "chatml"];
  writeFileSync(at("long.txt"), "Hello there, how are you?\nAnd again?\nAnd once more?\n");
  const turns = ["--turns", at("long.txt"), ...options];
  const dropping = await weft("chat", model, ...turns, "--log", log, "--clip", "drop-oldest");
  assert.is(dropping.code, 0, dropping.stderr);
  assert.match(dropping.stderr, "tokens of the conversation were dropped");
  assert.is(
    dropping.stdout,
    (await weft("chat", model, ...turns)).stdout,
    "dropping is what a chat does by itself",
  );
  assert.is(linesOf(log).at(-1).options.clip, "drop-oldest");
  const refused = await weft("chat", model, ...turns, "--clip", "error");
  assert.is(refused.code, 2, refused.stderr);
  assert.match(refused.stderr, "must fit into the capacity of 64 tokens");
  assert.match(refused.stderr, 'clip "drop-oldest"');
  const replayed = await weft("chat", model, "--replay", log, "--capacity", "64", "--template", "chatml");
  assert.is(replayed.code, 0, replayed.stdout + replayed.stderr);
});

test("a log goes on where it is, and a replay that differs says where and fails", async () => {
  const log = at("differs.jsonl");
  const options = ["--turns", at("turns.txt"), "--log", log, "--max-tokens", "8", "--temperature=0"];
  await weft("chat", model, ...options);
  await weft("chat", model, ...options);
  assert.is(linesOf(log).length, 8);
  const changed = linesOf(log);
  changed[1].content = `#${changed[1].content}`;
  writeFileSync(log, changed.map((line) => `${JSON.stringify(line)}\n`).join(""));
  const { code, stdout, stderr } = await weft("chat", model, "--replay", log);
  assert.is(code, 1);
  assert.match(stdout, /turn 1: differs at character 0: logged "#/);
  assert.match(stdout, /turn 4: equal/);
  assert.match(stderr, "1 answers differ from the log");
});

test("turns of a .jsonl file: its system text is taken, its answers are not", async () => {
  const file = at("turns.jsonl");
  const messages = [
    { role: "system", content: "Be brief." },
    { role: "user", content: "Hi" },
    { role: "assistant", content: "not mine" },
    { role: "user", content: "Bye" },
  ];
  writeFileSync(file, messages.map((line) => `${JSON.stringify(line)}\n`).join(""));
  const log = at("from-jsonl.jsonl");
  const { code } = await weft("chat", model, "--turns", file, "--log", log, "--max-tokens", "4");
  assert.is(code, 0);
  const lines = linesOf(log);
  assert.is(lines[0].content, "Be brief.");
  assert.equal(
    lines.filter((line) => line.role === "user").map((line) => line.content),
    ["Hi", "Bye"],
  );
  assert.not.ok(lines.some((line) => line.content === "not mine"));
});

test("wrong files are refused before the model loads, with the line", async () => {
  const wrong = at("wrong.jsonl");
  writeFileSync(wrong, '{"role":"user","content":"a"}\n{"role":"king","content":"b"}\n');
  const cases: [readonly string[], RegExp][] = [
    [["--turns", at("none.txt")], /\[--turns\] the file must be readable/],
    [["--turns", wrong], /must have a "role" .*king.*wrong\.jsonl:2/],
    [["--replay", wrong], /wrong\.jsonl:2/],
    [
      ["--replay", at("turns.txt")],
      /\[--replay\] each line must be a JSON object; given Hello there; at .*turns\.txt:1/,
    ],
    [
      ["--turns", at("turns.txt"), "--log", join(folder, "no/such/folder.jsonl")],
      /\[--log\] the file must be writable/,
    ],
    [["--turns", at("turns.txt"), "--replay", wrong], /cannot be used with/],
  ];
  for (const [argv, message] of cases) {
    const { code, stdout, stderr } = await weft("chat", at("no-model"), ...argv);
    assert.is(code, 2, stderr);
    assert.is(stdout, "");
    assert.match(stderr, message);
  }
});

test("a checkpoint without a chat template says so", async () => {
  const { code, stderr } = await weft("chat", tiny, "--turns", at("turns.txt"));
  assert.is(code, 2);
  assert.match(stderr, /must have a chat template/);
  const chosen = await weft(
    "chat",
    tiny,
    "--turns",
    at("turns.txt"),
    "--template",
    "chatml",
    "--max-tokens=2",
  );
  assert.is(chosen.code, 0, chosen.stderr);
});

test("a disk that is full costs the log, not the conversation", async () => {
  if (!existsSync("/dev/full")) return;
  const argv = ["--turns", at("turns.txt"), "--max-tokens", "6", "--temperature=0"];
  const { code, stdout, stderr } = await weft("chat", model, ...argv, "--log", "/dev/full");
  assert.is(code, 1);
  assert.match(
    stderr,
    /^\[--log\] cannot write \/dev\/full; ENOSPC[^\n]*\nthe conversation is not logged to its end\n$/,
  );
  const unlogged = await weft("chat", model, ...argv);
  assert.is(stdout, unlogged.stdout);
});

test("a disk that fills in the middle keeps every whole line", async () => {
  const log = at("filling.jsonl");
  const script = `
    const { ConversationLog } = await import(process.argv[1]);
    process.on("SIGXFSZ", () => {});
    const log = new ConversationLog(process.argv[2]);
    for (let line = 0; line < 5; line++) log.append({ line, text: "x".repeat(300) });
    console.log(log.failure);`;
  const loader = join(root, "node_modules/tsx/dist/loader.mjs");
  const module = join(root, "packages/cli/src/chat/log.ts");
  // A limit on the size of files stands for the end of the disk; tsx's own cache must not meet it.
  const { code, stdout, stderr } = await run(
    "bash",
    [
      "-c",
      'ulimit -f 1; exec "$0" "$@"',
      process.execPath,
      "--conditions=source",
      "--import",
      loader,
      "--input-type=module",
      "-e",
      script,
      module,
      log,
    ],
    { environment: { TSX_DISABLE_CACHE: "1" } },
  );
  assert.is(code, 0, stderr);
  assert.match(stdout, /^\[--log\] cannot write .*filling\.jsonl; EFBIG/);
  assert.equal(
    linesOf(log).map((line) => line.line),
    [0, 1, 2],
  );
});

test("turns come line by line through a pipe", async () => {
  const log = at("piped.jsonl");
  // What is there already stays.
  appendFileSync(log, '{"role":"user","content":"earlier"}\n');
  const { code, stdout, stderr } = await weftProcess(["chat", model, "--max-tokens=4", "--log", log], {
    input: "one\n\ntwo\n",
  });
  assert.is(code, 0, stderr);
  assert.is(stderr, "");
  const lines = linesOf(log);
  assert.equal(
    lines.filter((line) => line.role === "user").map((line) => line.content),
    ["earlier", "one", "two"],
  );
  assert.is(
    stdout,
    lines
      .filter((line) => line.role === "assistant")
      .map((line) => `${line.content}\n`)
      .join(""),
  );
});

test.run();
