/** Plans of training, looked at without a run: they are those that `weft train` runs. */
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Plan, printPlan } from "@weft/compiler";
import { compileTrainingModel, unfilledWeights } from "@weft/qwen3";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { qwen3Of4B } from "../support/qwen3-config.ts";
import { viewInPage } from "../support/view-in-page.ts";
import { root, tiny, weft, withFolder } from "./command.ts";

const planOf = async (...options: readonly string[]): Promise<Plan> => {
  const { code, stdout, stderr } = await weft(
    "dump",
    tiny,
    "--train",
    "--stage",
    "plan",
    "--format",
    "json",
    ...options,
  );
  assert.is(code, 0, stderr);
  return JSON.parse(stdout) as Plan;
};

const programsOf = ({ programs }: Plan) => programs.map(({ name }) => name);

test("every stage of a training plan is dumped, with the graph after passes of its own", async () => {
  for (const stage of ["graph", "fused", "plan", "memory", "kernels", "cuda"]) {
    const { code, stdout, stderr } = await weft(
      "dump",
      tiny,
      "--train",
      "--sequence",
      "16",
      "--stage",
      stage,
    );
    assert.is(code, 0, stderr);
    assert.ok(stdout.length > 1000, stage);
  }
  const after = (pass: string) => weft("dump", tiny, "--train", "--program", "train", "--print-after", pass);
  assert.match((await after("grad")).stdout, "crossEntropyGradient");
  assert.match((await after("optimizer")).stdout, "stateWrite(");
  assert.match(
    (await after("optimizr")).stderr,
    /--print-after\] must name a pass of train: .*did you mean optimizer\?/,
  );
});

test("options are those of weft train: they make the plan that it runs", async () => {
  const whole = await planOf("--sequence=32");
  assert.equal(programsOf(whole), ["train", "loss"]);
  assert.is(whole.symbols.find(({ name }) => name === "length")!.max, 32);
  const many = await planOf(
    "--sequence=32",
    "--batch=3",
    "--accumulate=2",
    "--optimizer=sgd",
    "--dtype=bf16",
  );
  assert.equal(programsOf(many), ["accumulate", "update", "loss"]);
  assert.is(many.symbols.find(({ name }) => name === "length")!.max, 96);
  const moments = ({ buffers }: Plan) =>
    buffers.filter(({ name }) => name.startsWith("optimizer.secondMoment"));
  assert.ok(moments(whole).length > 0);
  assert.is(moments(many).length, 0);
  const adapters = await planOf("--sequence=32", "--lora=4", "--lora-targets=q_proj", "--last-layers=1");
  assert.equal(
    adapters.buffers.filter(({ name }) => /^model.*lora_A\.weight$/.test(name)).map(({ name }) => name),
    ["model.layers.1.self_attn.q_proj.lora_A.weight"],
  );
  const blocks = await planOf(
    "--sequence=32",
    "--quantize=nvfp4",
    "--four-over-six",
    "--moments=int8",
    "--weights=bf16",
  );
  assert.ok(programsOf(blocks).includes("blocks"));
  assert.ok(
    blocks.buffers.some(({ dtype }) => dtype === "nvfp4") &&
      blocks.buffers.some(({ dtype }) => dtype === "i8"),
  );
});

test("memory is what weft train would print before it runs", () =>
  withFolder(async (folder) => {
    const options = ["--sequence=32", "--batch=2", "--moments=int8", "--threads=2", "--json"];
    const run = ["train", tiny, "--data", join(root, "README.md"), "--out", join(folder, "run"), "--dry-run"];
    const [planned, looked] = [
      await weft(...run, ...options),
      await weft("memory", tiny, "--train", ...options),
    ];
    assert.is(planned.code, 0, planned.stderr);
    assert.is(looked.stdout, planned.stdout);
    assert.match((await weft("memory", tiny, "--train")).stdout, /^optimizer .* first and second moments$/m);
  }));

test("explain and inspect take it, from a config.json alone too", () =>
  withFolder(async (folder) => {
    const config = join(folder, "config.json");
    copyFileSync(join(tiny, "config.json"), config);
    const explained = await weft(
      "explain",
      config,
      "model.layers.0.mlp.up_proj",
      "--train",
      "--program=train",
    );
    assert.is(explained.code, 0, explained.stderr);
    assert.match(
      explained.stderr,
      /config\.json holds no weights; planned from .*config\.json with f32 weights/,
    );
    assert.match(explained.stdout, /in train:\n {4}step \d+, kernel/);
    const page = join(folder, "page.html");
    const inspected = await weft("inspect", config, "--train", "--sequence=16", "--out", page);
    assert.is(inspected.code, 0, inspected.stderr);
    assert.match(inspected.stdout, /train of \d+ steps, loss of \d+ steps\n$/);
    const passes = viewInPage(readFileSync(page, "utf8")).programs[0]!.stages.map(({ pass }) => pass);
    for (const pass of ["grad", "checkpoint", "optimizer", "fuse"])
      assert.ok(passes.includes(pass), passes.join());
    // Without --train it is the plan of inference, as for a directory without weights.
    assert.match((await weft("dump", config, "--stage", "plan")).stdout, /program decode/);
  }));

const mistakes: readonly (readonly [argv: readonly string[], message: RegExp])[] = [
  [["memory", tiny, "--batch=2"], /\[--batch\] goes with --train; add --train, or leave it out/],
  [
    ["dump", join(root, "examples/custom-block.ts"), "--train", "--stage=plan"],
    /\[--train\] must go with a model; given the block of .*custom-block\.ts; give a model directory/,
  ],
  [
    ["memory", tiny, "--train", "--capacity=64"],
    /\[--capacity\] must be left out for this TARGET; given 64; training has no KV cache/,
  ],
  [
    ["memory", tiny, "--train", "--lora-alpha=4", "--moments=int8", "--optimizer=sgd"],
    /\[--lora-alpha\] needs adapters.*\n\[--moments\] goes with --optimizer adamw only/,
  ],
  [
    ["memory", tiny, "--train", "--quantize=*.q_proj=nvfp4"],
    /\[--quantize\] must be nvfp4 with --train.*given \*\.q_proj=nvfp4/,
  ],
  [["memory", tiny, "--train", "--sequence=100000"], /\[--sequence\] must fit into the 512 positions/],
  [["memory", tiny, "--train", "--last-layers=9"], /\[--last-layers\] must be at most the 2 layers/],
];

for (const [argv, message] of mistakes) {
  test(`refused: ${argv.slice(2).join(" ")}`, async () => {
    const { code, stdout, stderr } = await weft(...argv);
    assert.is(code, 2);
    assert.is(stdout, "");
    assert.match(stderr, message);
  });
}

test("a JSON file that is no configuration is told apart", () =>
  withFolder(async (folder) => {
    const file = join(folder, "plan.json");
    writeFileSync(file, JSON.stringify(await planOf("--sequence=16")));
    assert.match(
      (await weft("memory", file)).stderr,
      /must be the configuration of a model.*given a plan; .*weft inspect looks at plans/,
    );
    assert.match(
      (await weft("inspect", file, "--train")).stderr,
      /\[--train\] must go with a model; given the plan/,
    );
    assert.is((await weft("inspect", file, "--json")).code, 0);
  }));

test("weights to plan with have shapes, and no numbers until somebody asks", () => {
  const weightOf = unfilledWeights(qwen3Of4B);
  const embedding = weightOf("model.embed_tokens.weight")!;
  assert.equal(embedding.shape, [151936, 2560]);
  assert.is(weightOf("model.layers.0.input_layernorm.weight")!.data.byteLength, 4 * 2560);
  assert.is(weightOf("nothing.weight"), undefined);
  const options = { sequence: 16, programs: ["loss"], trainable: () => false } as const;
  assert.match(printPlan(compileTrainingModel(qwen3Of4B, weightOf, options).plan), /program loss/);
});

test.run();
