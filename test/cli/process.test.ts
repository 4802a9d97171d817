/** What only a process of its own shows: closed pipes, Ctrl-C, the built command. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { root, run, tiny, weftProcess } from "./command.ts";

const built = join(root, "packages/cli/bin/weft.js");

test("a reader that has seen enough ends the command quietly", async () => {
  const shell = 'set -o pipefail; "$0" "$@" | head -n 1';
  const node = ["--conditions=source", "--import", join(root, "node_modules/tsx/dist/loader.mjs"), "-e"];
  const main = JSON.stringify(join(root, "packages/cli/src/main.ts"));
  const entry = `import(${main}).then(({ run }) => run(process.argv.slice(1)))`;
  const tokens = Array(200).fill(1).join(",");
  const argv = [...node, entry, "--", "logits", tiny, "--tokens", tokens, "--json"];
  const { code, stdout, stderr } = await run("bash", ["-c", shell, process.execPath, ...argv]);
  assert.is(code, 0);
  assert.is(stderr, "");
  assert.is(stdout.split("\n").length, 2);
});

test("Ctrl-C ends a generation with exit code 130 and without a trace", async () => {
  let killed = false;
  const argv = ["generate", tiny, "--prompt", "a", "--max-tokens", "480", "--ignore-eos", "--stream"];
  const { code, stderr } = await weftProcess([...argv, "--temperature=1"], {
    onOutput: (_, kill) => {
      if (killed) return;
      killed = true;
      kill("SIGINT");
    },
  });
  // A fast machine may be done before the signal arrives.
  assert.ok(code === 130 || code === 0, String(code));
  assert.is(stderr, "");
});

test("Ctrl-C ends a waiting conversation", async () => {
  const { code, stderr } = await weftProcess(["chat", tiny, "--template", "chatml", "--max-tokens=2"], {
    input: "one\n",
    keepOpen: true,
    onOutput: (_, kill) => kill("SIGINT"),
  });
  assert.is(code, 130);
  assert.is(stderr, "");
});

test("the built command works as the sources do", async () => {
  if (!existsSync(join(root, "packages/cli/dist/main.js"))) {
    console.log("  skipped: the command is not built (npm run build)");
    return;
  }
  const help = await run(process.execPath, [built, "--help"]);
  assert.is(help.code, 0);
  assert.match(help.stdout, "Usage: weft COMMAND");
  const { code, stdout, stderr } = await run(process.execPath, [
    built,
    "generate",
    tiny,
    "--tokens=72,101",
    "--json",
  ]);
  assert.is(code, 0, stderr);
  assert.ok(JSON.parse(stdout).tokens.length > 0);
  const block = await run(process.execPath, [built, "dump", join(root, "examples/custom-block.ts")]);
  assert.match(block.stdout, "->> softcap ->> down", block.stderr);
  // Lines are those of the file as it was written.
  const graph = await run(process.execPath, [
    built,
    "dump",
    join(root, "examples/custom-block.ts"),
    "--stage=graph",
  ]);
  assert.match(graph.stdout, /linear\(.*# gate examples\/custom-block\.ts:\d\d:\d+\n/);
  const wrong = await run(process.execPath, [built, "summary", "nothing"]);
  assert.is(wrong.code, 2);
});

test("output that cannot be written is a failure", async () => {
  if (!existsSync("/dev/full")) return;
  const shell = '"$0" "$@" > /dev/full';
  const { code, stderr } = await run("bash", ["-c", shell, process.execPath, built, "dump", tiny]);
  assert.is(code, 1);
  assert.match(stderr, /\[weft\] .*(ENOSPC|must be built)/);
});

test("WEFT_DEBUG=1 shows stack traces", async () => {
  const { code, stderr } = await weftProcess(["summary", "nothing"], { environment: { WEFT_DEBUG: "1" } });
  assert.is(code, 2);
  assert.match(stderr, /\[TARGET\] must exist.*\n\s+at /);
});

test.run();
