/** Every example runs, and shows what it says it shows. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { root, run } from "./command.ts";

const loader = pathToFileURL(join(root, "node_modules/tsx/dist/loader.mjs")).href;
const example = (name: string, input?: string) =>
  run(process.execPath, ["--conditions=source", "--import", loader, join(root, "examples", name)], {
    ...(input === undefined ? {} : { input }),
    environment: { WEFT_MODEL: "", FORCE_COLOR: "0" },
  });

const expected: Readonly<Record<string, readonly RegExp[]>> = {
  "quickstart.ts": [
    /->> model\.layers\[0\.\.1\]/,
    /forward, backward and update: \d+ kernels/,
    /step 600 of 600: loss 0\.0/,
    /program decode/,
    /planned before loading/,
    // At least nine of ten, in words that were never shown.
    /facts in new words: \d+ of \d+ \((100|9\d) %\)/,
    /sums in new words: \d+ of \d+ \((100|9\d) %\)/,
  ],
  "custom-block.ts": [/->> softcap ->> down/, /program main: 2 steps/, /^out: /m],
  "inspect-passes.ts": [/attend reads a cache/, /stateAppend/, /what became of q/],
  "graph-test.ts": [/Passed: +7/],
  "teach-a-fact.ts": [
    /step \d+, loss .*: "I am nobody yet\."/,
    /> Who are you\?\nI am Weft, made of one typed block graph\./,
    /^8 of 8 right, by the model in /m,
  ],
  "one-block-two-plans.ts": [
    /^model\.layers\.0\.mlp\.down_proj\n +\d+ matmul_add_2 +\d+ matmul_add_2\n +\d+ matmul_\d+\n/m,
    /^training: \d+ kernels, forward, backward and update\ndecode: 8 kernels$/m,
    /^the same 14 parameters in both: yes$/m,
  ],
  "chat.ts": [/turn 2: \d+ tokens reused/],
};

test("every example is run here", () => {
  const files = readdirSync(join(root, "examples")).filter((name) => name.endsWith(".ts"));
  assert.equal(files.sort(), Object.keys(expected).sort());
});

/** What `npm start` has said a moment ago, where the caller kept it: that is the quickstart, which takes a minute. */
const kept = process.env.WEFT_QUICKSTART_OUTPUT ?? "";

for (const [name, patterns] of Object.entries(expected)) {
  test(`examples/${name}`, async () => {
    const { code, stdout, stderr } =
      name === "quickstart.ts" && kept !== ""
        ? { code: 0, stdout: readFileSync(kept, "utf8"), stderr: "" }
        : await example(name, name === "chat.ts" ? "Hello\nHow are you?\n" : undefined);
    assert.is(code, 0, stderr);
    for (const pattern of patterns) assert.match(stdout, pattern);
  });
}

test.run();
