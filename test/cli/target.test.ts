/** TARGETs that are files: what is found in them, and what is said when it is not there. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { root, weft, weftProcess, withFolder } from "./command.ts";

/** Runs a command on a file with this text. */
const onFile = (text: string, argv: readonly string[] = [], name = "target.ts") =>
  withFolder(async (folder) => {
    writeFileSync(join(folder, name), text);
    return weft("dump", join(folder, name), ...argv);
  });

test("the default export, or the only one that is a block, is taken", async () => {
  const first = await onFile(
    'import { silu, tanh } from "@weft/dsl"; export const other = tanh; export default silu;',
  );
  assert.is(first.stdout.trim(), "silu");
  const only = await onFile(
    'import { silu } from "@weft/dsl"; export const width = 4; export const act: typeof silu = silu;',
  );
  assert.is(only.stdout.trim(), "silu");
});

test("several blocks need --export", async () => {
  const text =
    'import { silu, tanh } from "@weft/dsl"; export const first = silu; export const second = tanh;';
  const { code, stderr } = await onFile(text);
  assert.is(code, 2);
  assert.match(
    stderr,
    /must have a default export, or export one block only; given first, second; choose one with --export first/,
  );
  assert.is((await onFile(text, ["--export", "second"])).stdout.trim(), "tanh");
  assert.match(
    (await onFile(text, ["--export", "secnd"])).stderr,
    /\[--export\] must name an export .*did you mean second\?/,
  );
});

test("nothing usable: what was found and what is expected", async () => {
  const number = await onFile("export const width = 4;");
  assert.is(number.code, 2);
  assert.match(number.stderr, /must export a block or a graph; given width \(a value of type number\)/);
  assert.match((await onFile("const hidden = 4;\nexport {};")).stderr, /given no exports/);
  const factory = await onFile('import { silu } from "@weft/dsl"; export default () => silu;');
  assert.match(factory.stderr, /given default \(a function\); call the function/);
});

test("a plain JavaScript file works as well, whatever package it lies in", async () => {
  const text = 'import { silu } from "@weft/dsl";\nexport default silu;';
  assert.is((await onFile(text, [], "target.js")).stdout.trim(), "silu");
  assert.is((await onFile(text, [], "target.mjs")).stdout.trim(), "silu");
});

test("a script's own error shows its own stack", async () => {
  const { code, stderr } = await onFile(
    'function build() {\n  throw new Error("boom");\n}\nexport default build();',
  );
  assert.is(code, 1);
  assert.match(stderr, /target\.ts threw an error:\nError: boom\n {4}at build/);
  assert.not.match(stderr, "packages/cli");
  assert.match((await onFile('import "./nothing.ts"; export {};')).stderr, /Cannot find module/);
  assert.match((await onFile("export default (;")).stderr, /threw an error/);
});

test("a block that does not fit is the sentence of the DSL, with the line", async () => {
  const { code, stderr } = await onFile(
    'import { axis, chain, linear } from "@weft/dsl";\nconst [a, b, c] = [axis("a", 2), axis("b", 3), axis("c", 4)];\nexport default chain(linear("x", a, b), linear("y", c, a) as never);',
  );
  assert.is(code, 2);
  assert.match(stderr, /\[chain\] left side produces \[\.\.\., b\], right side expects \[\.\.\., c\]/);
  assert.match(stderr, /target\.ts:3:/);
});

test("missing and foreign files", async () => {
  const near = await weft("dump", join(root, "test/fixtures/tny"));
  assert.is(near.code, 2);
  assert.match(near.stderr, /\[TARGET\] must exist; .*did you mean .*test\/fixtures\/tiny\?/);
  assert.match((await weft("dump", join(root, "README.md"))).stderr, /one of the endings \.ts/);
  const exported = await weft("dump", join(root, "test/fixtures/tiny"), "--export", "x");
  assert.match(exported.stderr, /\[--export\] names an export of a file/);
});

test("a model that is not fetched yet is planned from its config.json", () =>
  withFolder(async (folder) => {
    const config = { model_type: "qwen3", hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2 };
    const rest = { num_key_value_heads: 1, head_dim: 16, intermediate_size: 64, vocab_size: 100 };
    const more = {
      max_position_embeddings: 64,
      rms_norm_eps: 1e-6,
      rope_theta: 1e6,
      torch_dtype: "bfloat16",
    };
    const directory = join(folder, "model");
    mkdirSync(directory);
    const text = JSON.stringify({ ...config, ...rest, ...more, tie_word_embeddings: true });
    writeFileSync(join(directory, "config.json"), text);
    const { code, stdout, stderr } = await weft("memory", directory, "--json");
    assert.is(code, 0);
    assert.match(stderr, /holds no weights; planned from config\.json with bf16 weights/);
    assert.ok(JSON.parse(stdout).weights > 0);
  }));

test("a TypeScript file is loaded by plain node too", () =>
  withFolder(async (folder) => {
    const file = join(folder, "block.ts");
    writeFileSync(file, 'import { silu } from "@weft/dsl";\nexport default silu as typeof silu;');
    const { code, stdout } = await weftProcess(["dump", file, "--stage", "graph", "--format", "mermaid"]);
    assert.is(code, 0);
    assert.match(stdout, "silu");
  }));

test.run();
