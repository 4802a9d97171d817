/** `weft quantize`: what it prints, writes and refuses. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { root, tied, weft, weftProcess, withFolder } from "./command.ts";

const fixture = (format: string) => join(root, "test/fixtures/nvfp4", format);

test("a table of every weight, a summary, and a checkpoint that can be quantised no further", () =>
  withFolder(async (folder) => {
    const out = join(folder, "out");
    const { code, stdout, stderr } = await weft(
      "quantize",
      tied,
      "--out",
      out,
      "--exclude",
      "*.v_proj",
      "--head",
    );
    assert.is(code, 0, stderr);
    const lines = stdout.trimEnd().split("\n");
    assert.match(lines[0]!, /^weight +shape +amax +relative error +zero blocks$/);
    assert.match(
      stdout,
      /^model\.layers\.0\.self_attn\.q_proj\.weight +\[64, 64\] +0\.5703 +0\.0947 +0\.00 %$/m,
    );
    assert.not.match(stdout, "v_proj");
    assert.match(stdout, /^lm_head\.weight /m);
    assert.match(lines.at(-2)!, /^13 weights quantised; 0\.1 MB$/);
    assert.is(lines.at(-1), `model: ${out}`);
    assert.equal(readdirSync(out).sort(), [
      "config.json",
      "model.safetensors",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    const again = await weft(
      "quantize",
      out,
      "--format",
      "modelopt",
      "--out",
      join(folder, "again"),
      "--json",
    );
    assert.is(again.code, 0, again.stderr);
    const report = JSON.parse(again.stdout);
    assert.is(report.linears.length, 13);
    assert.ok(report.linears.every((one: { how: string }) => one.how === "taken"));
    assert.ok(existsSync(join(folder, "again/hf_quant_config.json")));
  }));

test("--embedding: the table, and with it the tied head", () =>
  withFolder(async (folder) => {
    const out = join(folder, "out");
    const { code, stdout, stderr } = await weft("quantize", tied, "--out", out, "--embedding", "--json");
    assert.is(code, 0, stderr);
    const { linears } = JSON.parse(stdout);
    assert.is(linears[0].name, "model.embed_tokens.weight");
    assert.is(linears.length, 15);
  }));

test("--quantize at load is what a quantised file is: logits, memory, and the path of each linear", () =>
  withFolder(async (folder) => {
    const out = join(folder, "out");
    assert.is((await weft("quantize", tied, "--out", out, "--exclude", "*.o_proj")).code, 0);
    const rules = ["--quantize=nvfp4", "--quantize", "*.o_proj=plain", "--activations=*.mlp.*=nvfp4"];
    const logits = ["--tokens=1,45,7", "--json", "--threads=1"];
    const [atLoad, fromFile, plain] = [
      await weft("logits", tied, ...logits, ...rules),
      await weft("logits", out, ...logits, "--activations=*.mlp.*=nvfp4"),
      await weft("logits", tied, ...logits),
    ];
    assert.is(atLoad.code, 0, atLoad.stderr);
    assert.equal(JSON.parse(atLoad.stdout).logits, JSON.parse(fromFile.stdout).logits);
    assert.not.equal(JSON.parse(atLoad.stdout).logits, JSON.parse(plain.stdout).logits);
    const sizes = ["--capacity=64", "--chunk=16", "--threads=2", "--json", ...rules];
    const predicted = JSON.parse((await weft("memory", tied, ...sizes)).stdout);
    const run = await weft("generate", tied, "--tokens=72,101", "--max-tokens=2", ...sizes);
    assert.is(JSON.parse(run.stdout).timing.memoryBytes, predicted.peak);
    const told = await weft("explain", tied, "model.layers.0", "--program=decode", ...rules);
    assert.match(
      told.stdout,
      "not quantised: the checkpoint has it in BF16, and asked for by *.o_proj=plain",
    );
    assert.match(told.stdout, "stored as nvfp4: asked for by model.layers.*=nvfp4, encoded at load");
  }));

test("rules that are none, fit nothing, or have no weights to quantise", async () => {
  const format = await weft("generate", tied, "--tokens=1", "--quantize=*.mlp.*=fp4");
  assert.is(format.code, 2);
  assert.match(format.stderr, "It must be FORMAT or PATTERN=FORMAT, FORMAT plain, nvfp4 or fp8.");
  const nearest = await weft("generate", tied, "--tokens=1", "--quantize=*.down_prj=nvfp4");
  assert.is(nearest.code, 2);
  assert.match(nearest.stderr, "did you mean *.down_proj?");
  const plain = await weft("explain", tied, "lm_head", "--activations=nvfp4");
  assert.match(plain.stderr, "given no weight in nvfp4");
  const block = await weft(
    "dump",
    join(root, "examples/custom-block.ts"),
    "--stage=plan",
    "--quantize=nvfp4",
  );
  assert.match(block.stderr, /\[--quantize\] must be left out for this TARGET/);
});

test("what another format cannot say is remarked, never hidden", () =>
  withFolder(async (folder) => {
    const there = await weft("quantize", fixture("modelopt"), "--out", join(folder, "a"));
    assert.is(there.code, 0);
    assert.match(there.stdout, "taken as it was");
    assert.match(there.stdout, "14 taken as they were");
    assert.match(
      there.stderr,
      /is off by one rounding in model\.layers\S+ and \d+ more; converting back gives/,
    );
    const dat = await weft("quantize", fixture("dat"), "--format", "dat", "--out", join(folder, "b"));
    assert.is(dat.code, 0);
    assert.is(dat.stderr, "");
  }));

test("wrong usage and bad input leave nothing behind", () =>
  withFolder(async (folder) => {
    const cases: readonly [readonly string[], RegExp][] = [
      [["quantize", tied], /\[quantize\] needs a directory for the quantised model; give --out DIR/],
      [["quantize", tied, "--out", folder], /must not exist yet; given a directory; give a new directory/],
      [
        ["quantize", tied, "--format", "gguf", "--out", join(folder, "x")],
        /Allowed choices are compressed-tensors/,
      ],
      [["quantize", join(folder, "none"), "--out", join(folder, "x")], /must exist; given no such directory/],
      [
        ["quantize", tied, "--exclude", "q_proj", "--out", join(folder, "x")],
        /must name a linear that would be quantised/,
      ],
    ];
    for (const [argv, told] of cases) {
      const { code, stdout, stderr } = await weft(...argv);
      assert.is(code, 2, stderr);
      assert.is(stdout, "");
      assert.match(stderr, told);
    }
    assert.equal(readdirSync(folder), []);
    mkdirSync(join(folder, "empty"));
    const { stderr } = await weft("quantize", join(folder, "empty"), "--out", join(folder, "x"));
    assert.match(stderr, /must hold model\.safetensors, model\.safetensors\.index\.json or a \.dat file/);
  }));

test("as a process: a place that cannot be written to is told with what the system says", () =>
  withFolder(async (folder) => {
    const file = join(folder, "file");
    writeFileSync(file, "");
    const { code, stdout, stderr } = await weftProcess(["quantize", tied, "--out", join(file, "out")]);
    assert.is(code, 2);
    assert.is(stdout, "");
    assert.match(stderr, /must be writable; given E(EXIST|NOTDIR): .*; check the path, its permissions/);
    assert.equal(readdirSync(folder), ["file"]);
  }));

test.run();
