/** `weft diff`: two precisions, formats, passes and dumps of the small model, and what it says of what cannot be compared. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hashPlan, type Plan, planVersion } from "@weft/compiler";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { root, tiny, weft, withFolder } from "./command.ts";

const block = join(root, "examples/custom-block.ts");
const modelopt = join(root, "test/fixtures/nvfp4/modelopt");

interface Told {
  readonly same: boolean;
  readonly plan: {
    readonly memory: Record<string, { before: number; after: number }>;
    readonly programs: readonly {
      readonly name: string;
      readonly steps: { readonly before: number; readonly after: number };
      readonly sameSteps: number;
      readonly changes: readonly { state: string; times: number; layers: number[]; origins: string[] }[];
    }[];
  };
}

async function told(...argv: readonly string[]): Promise<Told> {
  const { code, stdout, stderr } = await weft("diff", ...argv, "--json");
  assert.is(code, 0, stderr);
  return JSON.parse(stdout);
}

const counts = ({ changes, sameSteps }: Told["plan"]["programs"][number]) => {
  const of = (state: string) =>
    changes.filter((one) => one.state === state).reduce((sum, one) => sum + one.times, 0);
  return { changed: of("changed"), gone: of("gone"), added: of("added"), same: sameSteps };
};

/** Dumps of the small model and of a block in a folder, by their names. */
async function withDumps<A>(
  dumps: Readonly<Record<string, readonly string[]>>,
  work: (file: (name: string) => string) => Promise<A>,
): Promise<A> {
  return withFolder(async (folder) => {
    for (const [name, argv] of Object.entries(dumps)) {
      const { code, stdout, stderr } = await weft("dump", ...argv);
      assert.is(code, 0, stderr);
      writeFileSync(join(folder, name), stdout);
    }
    return work((name) => join(folder, name));
  });
}

const planOfTiny = [tiny, "--stage=plan", "--format=json"];

test("a config.json is a TARGET, and so is the plan that trains it", async () => {
  const config = join(tiny, "config.json");
  const { plan } = await told(config, "--b=--dtype=bf16");
  assert.equal(
    plan.programs.map(({ name }) => name),
    ["prefill", "decode"],
  );
  const trained = await told(
    config,
    "--train",
    "--sequence=16",
    "--a=--recompute nothing",
    "--b=--recompute everything",
  );
  const [train] = trained.plan.programs;
  assert.is(train!.name, "train");
  assert.ok(train!.steps.before < train!.steps.after);
  const refused = await weft("diff", config, "--b=--recompute everything");
  assert.match(refused.stderr, /\[--recompute\] goes with --train/);
});

test("two precisions of one model: every kernel that multiplies is changed, none is added or gone", async () => {
  const { plan, same } = await told(tiny, "--a", "--dtype f32", "--b", "--dtype bf16");
  assert.not.ok(same);
  const [prefill, decode] = plan.programs;
  assert.equal(counts(decode!), { changed: 12, gone: 0, added: 0, same: 1 });
  assert.equal(counts(prefill!), { changed: 13, gone: 0, added: 0, same: 3 });
  assert.equal(
    decode!.changes.map(({ times, layers, origins }) => [times, layers, origins[0]]),
    [
      [1, [], "model.embed_tokens"],
      [2, [0, 1], "model.layers.*.input_layernorm"],
      [2, [0, 1], "model.layers.*"],
      [2, [0, 1], "model.layers.*.self_attn.o_proj"],
      [2, [0, 1], "model.layers.*.post_attention_layernorm"],
      [2, [0, 1], "model.layers.*.mlp.down_proj"],
      [1, [], "model.norm"],
    ],
  );
  // Keys and values of half the bytes.
  assert.is(plan.memory.state!.before, 2 * plan.memory.state!.after);
  const { stdout } = await weft("diff", tiny, "--a=--dtype=f32", "--b", "--dtype", "--b", "bf16");
  assert.match(stdout, `A  ${tiny} --dtype=f32\nB  ${tiny} --dtype bf16\n`);
  assert.match(stdout, /^ {2}state +256\.00 KiB +128\.00 KiB +-128\.00 KiB +-50\.0 %$/m);
  assert.match(stdout, "steps: 12 changed, 0 gone, 0 added, 1 the same");
  assert.match(stdout, "of model.layers.{0..1}.mlp.down_proj, model.layers.{0..1}");
});

test("a plain checkpoint beside one in NVFP4: the linears of the layers, and what their scales add", async () => {
  const { plan } = await told(tiny, modelopt, "--program=decode");
  assert.equal(
    plan.programs.map(({ name }) => name),
    ["decode"],
  );
  assert.equal(counts(plan.programs[0]!).same, 13 - 4 * 2 - 1);
  assert.ok(plan.memory.weights!.after < 0.3 * plan.memory.weights!.before);
  const { stdout } = await weft("diff", tiny, modelopt, "--program=decode", "--lines=0");
  assert.match(stdout, "~ x2 weight model.layers.{0..1}.mlp.up_proj.weight: f32[128, 64] -> nvfp4[128, 64]");
  assert.match(stdout, "+ x2 weight model.layers.{0..1}.mlp.up_proj.weight.tensor_scale: f32[]");
  assert.not.match(stdout, "program prefill");
});

test("the same target twice: no difference, and --exit-code answers by the exit code", async () => {
  const same = await weft("diff", block, block, "--exit-code");
  assert.equal([same.code, same.stderr], [0, ""]);
  assert.is(same.stdout, `A  ${block}\nB  ${block}\n\nno difference\n`);
  const other = ["diff", block, "--b", "--dtype bf16"];
  assert.is((await weft(...other)).code, 0);
  const { code, stdout, stderr } = await weft(...other, "--exit-code");
  assert.equal([code, stderr], [1, ""]);
  assert.match(stdout, "~ matmul");
});

test("two passes: what they made of the graph of each program", async () => {
  const { code, stdout } = await weft("diff", tiny, "--passes", "precision..decompose", "--program=decode");
  assert.is(code, 0);
  assert.match(stdout, `A  ${tiny}, after precision\nB  ${tiny}, after decompose\n\ngraph qwen3-decode\n`);
  assert.match(
    stdout,
    [
      "  x2 model.layers.{0..1}.mlp.down_proj",
      '      - linear(mul, model.layers.*.mlp.down_proj.weight) {from: ["intermediate"], to: ["hidden"]}: f32[seq=1, hidden=64]',
      '      + dot(mul, model.layers.*.mlp.down_proj.weight) {contract: ["intermediate"]}: f32[seq=1, hidden=64]',
    ].join("\n"),
  );
  assert.not.match(stdout, "qwen3-prefill");
  assert.match((await weft("diff", tiny, "--passes=simplify..fuse")).stdout, "no difference");
  // One name: both sides after that pass.
  const twice = await weft("diff", tiny, "--b=--dtype=bf16", "--passes=precision", "--json");
  const { kind, graphs } = JSON.parse(twice.stdout);
  assert.equal([kind, graphs.length, graphs[0].state], ["graph", 2, "changed"]);
});

test("dumped plans are compared with each other and with a target", async () => {
  await withDumps(
    { "plan.json": planOfTiny, "narrow.json": [...planOfTiny, "--dtype=bf16"] },
    async (file) => {
      const [plan, narrow] = [file("plan.json"), file("narrow.json")];
      assert.match((await weft("diff", plan, tiny)).stdout, "\n\nno difference\n");
      const dumped = await weft("diff", plan, narrow, "--json");
      const compiled = await weft("diff", tiny, "--b=--dtype=bf16", "--json");
      const withoutLabels = ({ a: _, b: __, ...rest }: Record<string, unknown>) => rest;
      assert.equal(withoutLabels(JSON.parse(dumped.stdout)), withoutLabels(JSON.parse(compiled.stdout)));
    },
  );
});

test("dumped graphs in every form: text, folded text, JSON, and several programs", async () => {
  const graph = [tiny, "--stage=graph"];
  await withDumps(
    {
      "folded.txt": graph,
      "whole.txt": [...graph, "--no-fold"],
      "both.json": [...graph, "--format=json"],
      "decode.json": [...graph, "--format=json", "--program=decode"],
      "cached.txt": [...graph, "--print-after=kvCache"],
    },
    async (file) => {
      const forms = ["folded.txt", "whole.txt", "both.json"].map(file);
      for (const form of forms) {
        for (const other of [...forms, tiny]) {
          const { code, stdout } = await weft("diff", form, other, "--exit-code");
          assert.is(code, 0, `${form} ${other}: ${stdout}`);
          assert.match(stdout, "no difference");
        }
      }
      const cached = (await weft("diff", file("folded.txt"), file("cached.txt"), "--program=prefill")).stdout;
      assert.match(cached, "graph qwen3-prefill\n  nodes: ");
      assert.match(cached, /\+ %\d+ = stateAppend\(/);
      assert.match(
        (await weft("diff", file("cached.txt"), tiny, "--passes=kvCache")).stdout,
        "no difference",
      );
      assert.match(
        (await weft("diff", file("both.json"), file("decode.json"))).stdout,
        "graph qwen3-prefill: only in A",
      );
    },
  );
});

test("blocks of files, with leading axes and dtypes for each side", async () => {
  const { stdout } = await weft("diff", block, "--a=--lead seq=64", "--b", "--lead seq=128");
  assert.match(stdout, "~ symbol seq: at most 64 -> at most 128");
  assert.match(stdout, "program main at seq=64");
});

test("a plan beside a graph is refused, with what to dump", async () => {
  await withDumps(
    { "plan.json": planOfTiny, "graph.txt": [tiny, "--stage=graph"], "plan.txt": [tiny, "--stage=plan"] },
    async (file) => {
      const mixed = await weft("diff", file("plan.json"), file("graph.txt"));
      assert.is(mixed.code, 2);
      assert.match(
        mixed.stderr,
        /^\[diff\] both sides must be plans, or both graphs; given the plan .*plan\.json and the graph .*graph\.txt; dump both at one stage: weft dump TARGET --stage plan --format json, or --stage graph/,
      );
      const passes = await weft("diff", file("plan.json"), tiny, "--passes=simplify");
      assert.match(passes.stderr, /both graphs; given the plan .*plan\.json and --passes/);
      const text = await weft("diff", file("plan.txt"), tiny);
      assert.match(
        text.stderr,
        /must be a plan in JSON, or a graph as text or in JSON; given the text of a plan; write it/,
      );
      const given = await weft("diff", file("graph.txt"), tiny, "--a=--dtype=f32");
      assert.match(
        given.stderr,
        /^\[--a\] is of a TARGET that is compiled; given the file .*; leave --a out/,
      );
      const both = await weft("diff", file("graph.txt"), file("graph.txt"), "--dtype=f32", "--no-rescore");
      assert.match(
        both.stderr,
        /^\[--dtype, --no-rescore\] is of a TARGET that is compiled; given two files/,
      );
      const range = await weft("diff", file("graph.txt"), tiny, "--passes=given..simplify");
      assert.match(
        range.stderr,
        /^\[--passes\] needs a TARGET for each pass that it names; .*use --passes simplify/,
      );
    },
  );
});

test("a plan of another version, one that was edited, and one that was cut short", async () => {
  await withDumps({ "plan.json": planOfTiny }, async (file) => {
    const plan = JSON.parse(readFileSync(file("plan.json"), "utf8")) as Plan;
    const older = { ...plan, version: planVersion - 1 };
    writeFileSync(file("older.json"), JSON.stringify({ ...older, hash: hashPlan(older) }));
    writeFileSync(file("edited.json"), JSON.stringify({ ...plan, name: "other" }));
    writeFileSync(file("cut.json"), JSON.stringify(plan).slice(0, 500));
    const errors: readonly [string, RegExp][] = [
      [
        "older.json",
        new RegExp(
          `the plan must be of version ${planVersion}; given version ${planVersion - 1}; at .*; compile it again with this version of Weft`,
        ),
      ],
      ["edited.json", /the plan's hash must match its content/],
      ["cut.json", /cut\.json\] must be JSON, and all of it; given .*; write it with weft dump/],
    ];
    for (const [name, message] of errors) {
      const { code, stdout, stderr } = await weft("diff", file("plan.json"), file(name));
      assert.equal([code, stdout], [2, ""], name);
      assert.match(stderr, message);
    }
  });
});

test("files that are neither, files that are not there, and programs that are not there", async () => {
  await withFolder(async (folder) => {
    const file = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const errors: readonly [readonly string[], RegExp][] = [
      [
        [file("a.json", '{"name": "x", "version": 3}')],
        /must hold a plan or a graph; given an object of name, version; write/,
      ],
      [[file("b.json", "[]")], /must hold a plan or a graph; given an empty array/],
      [[file("c.json", "[1]")], /given an array of something else/],
      [[file("d.json", '{"nodes": []}')], /d\.json\] the file must say "format": "weft-graph"/],
      [[file("e.txt", "Hello, you there")], /given a text that begins with "Hello, you there"/],
      [[file("f.txt", "graph g {\n  %0 = \n}\n")], /f\.txt\] expected an op/],
      [[join(folder, "nothing.json")], /nothing\.json\] must be readable; given ENOENT.*; check the path/],
      [[join(root, "test/fixtures/tny")], /\[TARGET\] must exist; .*did you mean .*tiny\?/],
    ];
    for (const [[path], message] of errors) {
      const { code, stderr } = await weft("diff", path!, tiny);
      assert.is(code, 2, path);
      assert.match(stderr, message);
    }
  });
  const program = await weft("diff", tiny, "--b=--dtype=bf16", "--program=decod");
  assert.match(
    program.stderr,
    /\[--program\] must be one of prefill, decode; given decod; did you mean decode\?/,
  );
  const pass = await weft("diff", tiny, "--passes=given..simplfy");
  assert.match(
    pass.stderr,
    /\[--passes\] must name a pass of prefill: given, fuse, kvCache, .*; did you mean simplify\?/,
  );
});

test("one side alone, and options of a side that are none", async () => {
  const alone = await weft("diff", tiny);
  assert.is(alone.code, 2);
  assert.match(alone.stderr, /^\[diff\] needs two sides; .*name B, say how each side is compiled/);
  const errors: readonly [string, RegExp][] = [
    [
      "--dtype f8",
      /\[--b\] must be options that compile a TARGET; given "--dtype f8"; .*Allowed choices are f32, bf16/,
    ],
    ["--dtpe=f32", /unknown option '--dtpe=f32'/],
    ["--capacity", /argument missing/],
    ["bf16", /too many arguments/],
    ["--json", /unknown option '--json'/],
  ];
  for (const [words, message] of errors) {
    const { code, stdout, stderr } = await weft("diff", tiny, "--b", words);
    assert.equal([code, stdout], [2, ""], words);
    assert.match(stderr, message);
  }
  const range = await weft("diff", tiny, "--passes", "a..b..c");
  assert.match(range.stderr, /It must be PASS or FROM\.\.TO, like decompose\.\.simplify/);
});

test.run();
