/** The command line itself: help, wrong usage, exit codes. */

import { assertSnapshot } from "@weft/dsl/testing";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { goldenFile } from "../support/golden.ts";
import { tiny, weft, weftProcess } from "./command.ts";

const commands = [
  "generate",
  "chat",
  "logits",
  "loss",
  "train",
  "merge",
  "quantize",
  "export",
  "new",
  "summary",
  "dump",
  "explain",
  "diff",
  "inspect",
  "memory",
  "profile",
  "bench",
  "compile",
  "cache",
  "guard",
  "doctor",
];
test("the overview and every command's help are as written down, with examples", async () => {
  const overview = await weft("--help");
  assert.is(overview.code, 0);
  assert.is(overview.stderr, "");
  assertSnapshot(overview.stdout, goldenFile("cli/help.txt"));
  for (const command of commands) {
    const { code, stdout } = await weft(command, "--help");
    assert.is(code, 0);
    assert.match(stdout, "Examples:");
    assertSnapshot(stdout, goldenFile(`cli/help-${command}.txt`));
  }
});

test("the version is the package's", async () => {
  const { code, stdout } = await weft("--version");
  assert.is(code, 0);
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
});

test("no command at all prints the help and is wrong usage", async () => {
  const { code, stdout, stderr } = await weft();
  assert.is(code, 2);
  assert.is(stdout, "");
  assert.match(stderr, "Usage: weft COMMAND");
});

test("a model that is not there is one cause, and named once", async () => {
  const { code, stderr } = await weft("generate", "nowhere", "--prompt", "x");
  assert.is(code, 2);
  assert.is(stderr, "[nowhere] must exist; given no such directory; check the path of the model\n");
});

const mistakes: readonly [string, readonly string[], RegExp][] = [
  ["an unknown command", ["sumary", tiny], /unknown command 'sumary'\n\(Did you mean summary\?\)/],
  [
    "an unknown option",
    ["logits", tiny, "--tokns", "1"],
    /unknown option '--tokns'\n\(Did you mean --tokens\?\)/,
  ],
  ["a missing argument", ["logits"], /missing required argument 'MODEL'/],
  ["an argument too many", ["summary", tiny, "more"], /too many arguments/],
  ["a missing value", ["logits", tiny, "--tokens"], /argument missing/],
  ["no tokens at all", ["logits", tiny], /\[logits\] needs token ids/],
  ["a token that is no number", ["logits", tiny, "--tokens", "1,x,3"], /given 'x' at position 1/],
  ["a negative token", ["logits", tiny, "--tokens=1,-3"], /given '-3' at position 1/],
  ["a token that is missing", ["logits", tiny, "--tokens", "1,,3"], /given '' at position 1/],
  ["empty tokens", ["logits", tiny, "--tokens", ""], /at least one token id/],
  [
    "a token out of range",
    ["logits", tiny, "--tokens", "1,320"],
    /\[--tokens\].*0 to 319; given 320 at position 1/,
  ],
  ["an unknown mode", ["logits", tiny, "--tokens", "1", "--mode", "half"], /whole, step or chunk:N/],
  ["an empty chunk", ["logits", tiny, "--tokens", "1", "--mode=chunk:0"], /whole, step or chunk:N/],
  ["an unknown dtype", ["logits", tiny, "--tokens", "1", "--dtype", "f8"], /Allowed choices are f32, bf16/],
  ["an unknown device", ["logits", tiny, "--tokens", "1", "--device", "tpu"], /Allowed choices are cpu/],
  ["no threads", ["generate", tiny, "--prompt", "a", "--threads", "0"], /integer from 1 to 1024/],
  ["very many threads", ["generate", tiny, "--prompt", "a", "--threads", "100000"], /integer from 1 to 1024/],
  [
    "a fraction of a thread",
    ["generate", tiny, "--prompt", "a", "--threads", "1.5"],
    /integer from 1 to 1024/,
  ],
  [
    "a temperature that is no number",
    ["generate", tiny, "--prompt", "a", "--temperature", "warm"],
    /finite number/,
  ],
  ["no new tokens", ["generate", tiny, "--prompt", "a", "--max-tokens", "0"], /integer from 1/],
  ["nothing to continue", ["generate", tiny], /\[generate\] needs something to continue/],
  ["two things to continue", ["generate", tiny, "--prompt", "a", "--tokens", "1"], /cannot be used with/],
  [
    "a stream of JSON",
    ["generate", tiny, "--prompt", "a", "--stream", "--json"],
    /--json prints the whole result/,
  ],
  [
    "an unknown stage",
    ["dump", tiny, "--stage", "plans"],
    /Allowed choices are expr, graph, fused, plan, memory, kernels/,
  ],
  ["an unknown format", ["dump", tiny, "--format", "png"], /Allowed choices are text, json, dot, mermaid/],
  ["a lead without a size", ["dump", tiny, "--lead", "seq"], /AXIS=SIZE/],
];

for (const [name, argv, message] of mistakes) {
  test(`${name}: exit code 2, a clear message, nothing on stdout`, async () => {
    const { code, stdout, stderr } = await weft(...argv);
    assert.is(code, 2);
    assert.is(stdout, "");
    assert.match(stderr, message);
    assert.not.match(stderr, /\n\s+at /);
  });
}

test("a process of its own returns the same exit codes, without colours", async () => {
  const wrong = await weftProcess(["dump", tiny, "--stage", "nothing"], {
    environment: { FORCE_COLOR: "1" },
  });
  assert.is(wrong.code, 2);
  const right = await weftProcess(["summary", tiny], { environment: { FORCE_COLOR: "1" } });
  assert.is(right.code, 0);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what must not be there
  assert.not.match(right.stdout + wrong.stderr, /\u001b\[/);
});

test.run();
