/** `weft new`: the project works as it is written, and nothing is written where it cannot be. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expandBlock } from "@weft/compiler";
import { axis, type BlockLike, formatProblems, orThrow } from "@weft/dsl";
import { generate, openQwen3, prepareQwen3, qwen3Model, readQwen3Config } from "@weft/qwen3";
import { isLeft } from "fp-ts/lib/Either.js";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { root, run, tied, tiny, weft, withFolder } from "./command.ts";

// Inside the repository, so that the packages are found; below node_modules, so that git does not see it.
const folder = join(root, "node_modules/.cache/weft-new");
test.before(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
});
test.after(() => rmSync(folder, { recursive: true, force: true }));

const graphOf = (model: BlockLike) => {
  const seq = axis("seq", { symbol: "seq", max: 8 });
  const { nodes, ...graph } = expandBlock(model, { name: "model", lead: [seq] });
  // The lines of the source differ, and nothing else may.
  return { ...graph, nodes: nodes.map(({ origin, ...node }) => ({ ...node, path: origin.path })) };
};

const node = (...argv: readonly string[]) =>
  run(process.execPath, ["--conditions=source", "--import", "tsx", ...argv]);

test("the project's model is Qwen3's, and its types, test and script are right as written", async () => {
  const project = join(folder, "My Model");
  const { code, stdout, stderr } = await weft(
    "new",
    "qwen3",
    "--config",
    join(tied, "config.json"),
    "--out",
    project,
  );
  assert.is(code, 0, stderr);
  assert.match(stdout, "src/model.ts");
  assert.is(JSON.parse(readFileSync(join(project, "package.json"), "utf8")).name, "my-model");
  const { default: model } = (await import(join(project, "src/model.ts"))) as { readonly default: BlockLike };
  assert.equal(graphOf(model), graphOf(qwen3Model(orThrow(readQwen3Config(tied)))));

  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const [types, tests, random, checkpoint] = await Promise.all([
    run(process.execPath, [tsc, "-p", project]),
    node("--test", join(project, "test/model.test.ts")),
    node(join(project, "src/run.ts")),
    node(join(project, "src/run.ts"), tied, "Hello"),
  ]);
  assert.is(types.code, 0, types.stdout);
  assert.is(tests.code, 0, tests.stdout);
  assert.match(random.stdout, /^tokens: \d+(, \d+){7}\n$/, random.stderr);
  assert.is(checkpoint.code, 0, checkpoint.stderr);
  assert.ok(checkpoint.stdout.length > 1);
});

test("a changed model runs as changed, and its test says what changed", async () => {
  const project = join(folder, "changed");
  const configFile = join(tiny, "config.json");
  assert.is((await weft("new", "qwen3", "--config", configFile, "--out", project)).code, 0);
  const file = join(project, "src/model.ts");
  const extra = 'residual(mlp), rmsNorm("extra", hidden, epsilon));';
  writeFileSync(file, readFileSync(file, "utf8").replace("residual(mlp));", extra));
  const tests = await node("--test", join(project, "test/model.test.ts"));
  assert.is(tests.code, 1);
  assert.match(tests.stdout, "the parameters are as many as they were");

  const { default: model } = (await import(file)) as { readonly default: BlockLike };
  const { writeRandomWeights } = (await import(join(project, "src/random-weights.ts"))) as {
    readonly writeRandomWeights: (config: string, directory: string) => Promise<string>;
  };
  const directory = await writeRandomWeights(configFile, join(project, "random-weights"));
  using opened = await openQwen3(directory, { model, threads: 1, planCache: join(project, "plans") });
  assert.ok(opened.plan.buffers.some(({ name }) => name === "model.layers.1.extra.weight"));
  // The plan of another model is not taken for this one's.
  using usual = await openQwen3(directory, { threads: 1, planCache: join(project, "plans") });
  assert.is.not(usual.plan.hash, opened.plan.hash);
  assert.is(readdirSync(join(project, "plans")).length, 2);
  const { tokens } = await generate(opened, [1, 2, 3], {
    maxTokens: 4,
    temperature: 0,
    text: false,
  }).finish();
  assert.is(tokens.length, 4);

  const other = join(project, "src/other.ts");
  writeFileSync(other, readFileSync(file, "utf8").replace('axis("vocab", ', 'axis("vocab", 1 + '));
  const wrong = (await import(other)) as { readonly default: BlockLike };
  const refused = prepareQwen3(directory, { model: wrong.default });
  assert.ok(isLeft(refused));
  assert.match(
    formatProblems((refused as { left: Parameters<typeof formatProblems>[0] }).left),
    /\[model\] the output must be \[\.\.\., vocab=320\]; given \[\.\.\., vocab=321\]/,
  );
});

test("new refuses what it cannot read or write, and leaves what was there", async () => {
  await withFolder(async (given) => {
    const config = join(tiny, "config.json");
    const bad = join(given, "bad.json");
    writeFileSync(bad, JSON.stringify({ model_type: "qwen3", hidden_size: -1, num_hidden_layers: "many" }));
    const taken = join(given, "taken");
    mkdirSync(taken);
    writeFileSync(join(taken, "mine.txt"), "mine");
    const fresh = join(given, "fresh");
    const outcomes: readonly (readonly [readonly string[], RegExp])[] = [
      [["qwen3", "--out", fresh], /\[new\] needs the sizes of the model; give --config config\.json/],
      [["qwen3", "--config", join(given, "none.json"), "--out", fresh], /must be a JSON file/],
      [["qwen3", "--config", bad, "--out", fresh], /hidden_size[\s\S]*num_hidden_layers[\s\S]*vocab_size/],
      [
        ["qwen3", "--config", config, "--out", taken],
        /\[--out\] must be new or empty; given .*taken with mine\.txt/,
      ],
      [
        ["qwen3", "--config", config, "--out", bad],
        /\[--out\] must be a directory; given .*bad\.json, a file/,
      ],
      [
        ["qwen3", "--config", config, "--out", join(bad, "inside")],
        /\[--out\] must be writable; given .*ENOTDIR/,
      ],
      [["llama", "--config", config], /Allowed choices are qwen3/],
    ];
    for (const [argv, message] of outcomes) {
      const { code, stderr } = await weft("new", ...argv);
      assert.is(code, 2, stderr);
      assert.match(stderr, message);
    }
    assert.equal(readdirSync(given).sort(), ["bad.json", "taken"]);
    assert.equal(readdirSync(taken), ["mine.txt"]);
    const empty = join(given, "empty");
    mkdirSync(empty);
    assert.is((await weft("new", "qwen3", "--config", config, "--out", empty)).code, 0);
    assert.ok(readdirSync(empty).includes("src") && readdirSync(dirname(empty)).length === 3);
  });
});

test.run();
