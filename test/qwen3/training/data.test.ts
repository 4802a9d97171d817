/** Data files to token files: what is read, what is learnt, what is refused. */
import { existsSync, readdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type PreparedData, targetsOf } from "@weft/qwen3";
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { jsonErrorAt } from "../../../packages/qwen3/src/training/data/json-syntax.ts";
import { inDirectory, right } from "../weights/files.ts";
import { prepared, sentences, template, tokenizer } from "./support.ts";

const test = suite("training data");

/** Each document's text, with what is learnt between « and ». */
function shown({ tokens: file }: PreparedData): string[] {
  return Array.from({ length: file.documents }, (_, document) => {
    const { begin, end } = file.rangeOf(document);
    const { tokens, learn } = file.read(begin, end - begin);
    let text = "";
    for (let from = 0; from < tokens.length; ) {
      let to = from;
      while (to < tokens.length && learn[to] === learn[from]) to++;
      const part = tokenizer.decode(tokens.subarray(from, to), { skipSpecial: false });
      text += learn[from] === 1 ? `«${part}»` : part;
      from = to;
    }
    return text;
  });
}

test("the target of a place is the token behind it, where that one is learnt", () => {
  const targets = targetsOf(Int32Array.of(5, 6, 7, 8), Uint8Array.of(0, 0, 1, 1));
  assert.equal([...targets], [-1, 7, 8, -1]);
  assert.is(targetsOf(new Int32Array(0), new Uint8Array(0)).length, 0);
});

test("plain text is a file, its paragraphs or its lines", () =>
  inDirectory(async (folder) => {
    const text = "\ufeffone\r\ntwo\n\n \nthree\n";
    const read = async (textUnit: "file" | "paragraph" | "line") =>
      shown(right(await prepared(folder, "a.txt", text, { textUnit })));
    assert.equal(await read("file"), ["«one\ntwo\n\n \nthree<|im_end|>»"]);
    assert.equal(await read("paragraph"), ["«one\ntwo<|im_end|>»", "«three<|im_end|>»"]);
    assert.equal(await read("line"), ["«one<|im_end|>»", "«two<|im_end|>»", "«three<|im_end|>»"]);
  }));

test("a long text is read in pieces and its tokens are those of the whole", () =>
  inDirectory(async (folder) => {
    const lines = Array.from(
      { length: 20_000 },
      (_, n) => `${n % 7 === 0 ? "  " : ""}line ${n}${n % 5 === 0 ? " " : "."}`,
    );
    const text = lines.join("\n");
    const { tokens } = right(await prepared(folder, "a.txt", text));
    assert.equal([...tokens.read(0, tokens.tokens - 1).tokens], await tokenizer.encode(text));
    assert.is(tokens.documents, 1);
  }));

test("a conversation is rendered by the template; what the assistant says is learnt, end token included", () =>
  inDirectory(async (folder) => {
    const line = {
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "2+2?" },
        { role: "assistant", content: "4" },
        { role: "user", content: "3+3?" },
        { role: "assistant", content: "6" },
      ],
    };
    const data = right(await prepared(folder, "a.jsonl", `${JSON.stringify(line)}\n\n{"text": "plain"}\n`));
    assert.equal(shown(data), [
      "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n«4<|im_end|>»\n" +
        "<|im_start|>user\n3+3?<|im_end|>\n<|im_start|>assistant\n«<think>\n\n</think>\n\n6<|im_end|>»\n",
      "«plain<|im_end|>»",
    ]);
  }));

test("TSV: the prompt is read, the target is learnt", () =>
  inDirectory(async (folder) => {
    const data = right(await prepared(folder, "a.tsv", "2+2=\t4\n\n\tfree\r\n"));
    assert.equal(shown(data), ["2+2=«4<|im_end|>»", "«free<|im_end|>»"]);
  }));

const refusals: readonly [string, string, string | Uint8Array, readonly string[]][] = [
  [
    "broken JSON",
    "a.jsonl",
    '{"text": "a"}\n{"text": tru}\n{"text": "b"\n',
    [
      '[a.jsonl] each line must be valid JSON; given "tru}"; at a.jsonl:2:10; correct the line, or skip bad lines',
      "[a.jsonl] each line must be valid JSON; given the end of the line; at a.jsonl:3:13; correct the line, or skip bad lines",
    ],
  ],
  [
    "no object",
    "a.jsonl",
    "[1]\n",
    ['[a.jsonl] each line must hold a JSON object; given [1]; at a.jsonl:1:1; write {"text": ...}'],
  ],
  [
    "other keys",
    "a.jsonl",
    '{"txt": "a"}\n{"text": "a", "messages": []}',
    [
      '[a.jsonl] a line must have either "text" or "messages"; given keys txt; at a.jsonl:1:1; name the key so',
      '[a.jsonl] a line must have either "text" or "messages"; given both; at a.jsonl:2:1; name the key so',
    ],
  ],
  [
    "no string",
    "a.jsonl",
    '{"text": 3}\n{"text": ""}',
    [
      '[a.jsonl] "text" must be a string; given 3; at a.jsonl:1:10; correct the line',
      '[a.jsonl] "text" must not be empty; given ""; at a.jsonl:2:10; take the line out',
    ],
  ],
  [
    "an unknown role",
    "a.jsonl",
    '{"messages": [{"role": "asistant", "content": "a"}]}\n{"messages": [{"role": 7}]}',
    [
      '[a.jsonl] role must be one of system, user, assistant, tool; given "asistant"; at messages[0] (a.jsonl:1:14); did you mean "assistant"?',
      "[a.jsonl] role must be one of system, user, assistant, tool; given 7; at messages[0] (a.jsonl:2:14); correct the role",
    ],
  ],
  [
    "no messages",
    "a.jsonl",
    '{"messages": []}\n{"messages": [3]}',
    [
      '[a.jsonl] "messages" must be a list with at least one message; given []; at a.jsonl:1:14; correct the line',
      "[a.jsonl] a message must be an object; given 3; at messages[0] (a.jsonl:2:14); correct the line",
    ],
  ],
  [
    "no content",
    "a.jsonl",
    '{"messages": [{"role": "user"}]}',
    ["[a.jsonl] content must be a string; given nothing; at messages[0] (a.jsonl:1:14); correct the message"],
  ],
  [
    "nobody to learn from",
    "a.jsonl",
    '{"messages": [{"role": "user", "content": "a"}]}',
    [
      "[a.jsonl] a conversation must have an assistant turn to learn; given user; at a.jsonl:1:14; take the line out",
    ],
  ],
  [
    "a quoted frame",
    "a.jsonl",
    '{"messages": [{"role": "user", "content": "<|im_start|>assistant\\nx<|im_end|>"}, {"role": "assistant", "content": "a"}]}',
    [
      '[chat_template.jinja] the text must show each assistant turn once; given 2 openings "<|im_start|>assistant\\n" for 1 turns; at a.jsonl:1:14; take out messages that quote the frame, or correct the template',
    ],
  ],
  [
    "tabs",
    "a.tsv",
    "one\na\tb\tc\na\t\n",
    [
      '[a.tsv] a line must have a tab; given "one"; at a.tsv:1:4; write PROMPT<TAB>TARGET, or skip bad lines',
      "[a.tsv] a line must have one tab; given a second one; at a.tsv:2:4; write PROMPT<TAB>TARGET, or skip bad lines",
      "[a.tsv] the target must not be empty; given the end of the line; at a.tsv:3:3; write PROMPT<TAB>TARGET, or skip bad lines",
    ],
  ],
  [
    "no UTF-8",
    "a.txt",
    Uint8Array.of(97, 10, 98, 0xff, 10),
    ["[a.txt] the text must be UTF-8; given bytes that are not; at a.txt:2:2; convert the file to UTF-8"],
  ],
  [
    "empty data",
    "a.txt",
    " \n\n",
    ["[data] must hold at least one document; given a.txt with none; give text to learn from"],
  ],
  [
    "an unknown format",
    "a.csv",
    "a",
    [
      "[a.csv] the format must be known; given a name that ends with none of .txt, .md, .jsonl, .ndjson, .tsv; say the format: text, jsonl or tsv",
    ],
  ],
];
for (const [what, name, text, expected] of refusals) {
  test(`refused, with file, line and column: ${what}`, () =>
    inDirectory(async (folder) => {
      assert.equal(sentences(await prepared(folder, name, text), folder), expected);
    }));
}

test("bad lines are counted instead, also when the token file was there before", () =>
  inDirectory(async (folder) => {
    const text = '{"text": "a"}\n{"text": 1}\nx\n';
    const first = right(await prepared(folder, "a.jsonl", text, { skipBad: true }));
    assert.equal(
      [first.cached, first.skipped, first.problems.length, first.tokens.documents],
      [false, 2, 2, 1],
    );
    const again = right(await prepared(folder, "a.jsonl", text, { skipBad: true }));
    assert.equal([again.cached, again.skipped, again.problems.length], [true, 2, 0]);
    const none = await prepared(folder, "b.jsonl", "x\n", { skipBad: true });
    assert.equal(sentences(none, folder), [
      "[data] must hold at least one document; given b.jsonl with none, 1 skipped; give text to learn from",
    ]);
  }));

test("reading stops after twenty problems", () =>
  inDirectory(async (folder) => {
    assert.is(sentences(await prepared(folder, "a.jsonl", "x\n".repeat(100)), folder).length, 20);
  }));

test("a missing template is one problem, whether bad lines are skipped or not; absent files too", () =>
  inDirectory(async (folder) => {
    const line = '{"messages": [{"role": "assistant", "content": "a"}]}\n';
    const { template: _, ...none } = { template };
    const without = await prepared(folder, "a.jsonl", line.repeat(3), {
      ...none,
      skipBad: true,
      template: undefined as never,
    });
    assert.equal(sentences(without, folder), [
      "[data] conversations must have a chat template; given none; put the chat_template.jinja of the checkpoint there",
    ]);
    const absent = await prepared(folder, "a.txt", "a", { files: [join(folder, "b.txt")] });
    assert.match(sentences(absent, folder)[0]!, /^\[b\.txt\] must be readable; given ENOENT/);
    const noEnd = await prepared(folder, "a.txt", "a", { endToken: "<end>" });
    assert.match(
      sentences(noEnd, folder)[0]!,
      "must have a token that ends a document; given no token <end>",
    );
    const small = await prepared(folder, "a.txt", "zebra", { vocabSize: 60 });
    assert.match(
      sentences(small, folder)[0]!,
      /ids must be below vocab_size of config.json, 60; given \d+; at a.txt:1;/,
    );
    assert.equal(sentences(await prepared(folder, "a.txt", "", { files: [] }), folder), [
      "[data] must name at least one file; given none; give a .txt, .jsonl or .tsv file",
    ]);
  }));

test("the token file is made once for the same data and options, again where it is damaged, and leaves nothing behind", () =>
  inDirectory(async (folder) => {
    const cache = join(folder, "cache");
    const first = right(await prepared(folder, "a.txt", "some text"));
    assert.is(readdirSync(cache).length, 1);
    const file = first.tokens.file;
    assert.ok(right(await prepared(folder, "renamed.txt", "some text")).cached);
    assert.not(right(await prepared(folder, "a.txt", "some texts")).cached);
    assert.not(right(await prepared(folder, "a.txt", "some text", { textUnit: "line" })).cached);
    truncateSync(file, 100);
    const again = right(await prepared(folder, "a.txt", "some text"));
    assert.not(again.cached);
    assert.is(again.tokens.content, first.tokens.content);
    assert.is(readdirSync(cache).length, 3);
    writeFileSync(join(folder, "blocked"), "");
    const refused = await prepared(folder, "a.txt", "some text", { cache: join(folder, "blocked") });
    assert.match(sentences(refused, folder)[0]!, /blocked|EEXIST|ENOTDIR/);
    assert.ok(existsSync(file));
  }));

test("where JSON breaks: nowhere in what JSON.parse accepts, somewhere in all else", () => {
  fc.assert(
    fc.property(
      fc.json(),
      fc.nat(),
      fc.constantFrom("", "}", "]", ",", '"', "\\", ":", "x", " "),
      (json, at, put) => {
        assert.is(jsonErrorAt(json), undefined);
        const place = at % (json.length + 1);
        const text = json.slice(0, place) + put + json.slice(place + 1);
        let valid = true;
        try {
          JSON.parse(text);
        } catch {
          valid = false;
        }
        assert.is(jsonErrorAt(text) === undefined, valid, text);
      },
    ),
    { numRuns: 500 },
  );
  assert.is(jsonErrorAt('{"a": [1, 2,, 3]}'), 12);
  assert.is(jsonErrorAt('{"a\\'), 3);
});

test.run();
