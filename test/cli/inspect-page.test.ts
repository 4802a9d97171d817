/** `weft inspect`: one file, and clear words where there can be none. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hashPlan, type Plan, planVersion } from "@weft/compiler";
import { type PackedRows, unpackRows, type View } from "@weft/viewer";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { viewInPage } from "../support/view-in-page.ts";
import { root, tiny, weft, withFolder } from "./command.ts";

const block = join(root, "examples/custom-block.ts");

test("a block becomes one page, and nothing else is written", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "pages/block.html");
    const { code, stdout, stderr } = await weft("inspect", block, "--out", file);
    assert.is(code, 0, stderr);
    assert.match(stdout, /block\.html: \d+\.\d+ KiB; main of 2 steps\n$/);
    assert.equal(readdirSync(join(folder, "pages")), ["block.html"]);
    const view = viewInPage(readFileSync(file, "utf8"));
    assert.is(view.target, block);
    assert.match(view.notation!.text, "->> softcap");
    assert.equal(
      view.programs[0]!.stages.map((one) => one.pass),
      ["given", "decompose", "simplify", "fuse"],
    );
  });
});

test("a model for a GPU has the text of its CUDA kernels, and rates are those that are given", async () => {
  const { code, stdout } = await weft("inspect", tiny, "--device", "cuda", "--bandwidth", "3350", "--json");
  assert.is(code, 0);
  const view = JSON.parse(stdout) as View;
  assert.ok(view.kernels.every(({ cuda }) => cuda!.includes("const Args<")));
  assert.is(view.roofline.bytesPerSecond, 3350e9);
  assert.equal(
    view.programs.map(({ name }) => name),
    ["prefill", "decode"],
  );
});

test("a plan in JSON is looked at without its graphs; one of another version, or a changed one, is not", async () => {
  const { stdout } = await weft("dump", block, "--stage", "plan", "--format", "json");
  const plan = JSON.parse(stdout) as Plan;
  await withFolder(async (folder) => {
    const file = join(folder, "plan.json");
    const given = async (text: string) => {
      writeFileSync(file, text);
      return weft("inspect", file, "--out", join(folder, "plan.html"));
    };
    assert.is((await given(stdout)).code, 0);
    assert.equal(viewInPage(readFileSync(join(folder, "plan.html"), "utf8")).programs[0]!.stages, []);

    const old = { ...plan, version: planVersion - 1 };
    const refused = await given(JSON.stringify({ ...old, hash: hashPlan(old) }));
    assert.is(refused.code, 2);
    assert.is(
      refused.stderr,
      `[plan] the plan must be of version ${planVersion}; given version ${planVersion - 1}; at ${file}; compile it again with this version of Weft, or use the version that wrote it\n`,
    );
    assert.match((await given(JSON.stringify({ ...plan, name: "x" }))).stderr, /hash must match its content/);
    assert.match((await given("{")).stderr, /\[plan\] the file must hold JSON; .*plan\.json/);
    for (const [text, found] of [
      ["null", "null"],
      ["3", "a number"],
      ["[]", "an array"],
      ['{"a":1}', "JSON of another kind"],
    ] as const)
      assert.match((await given(text)).stderr, `[plan] the file must hold one plan; given ${found}; at `);
  });
});

test("a plan of somebody's own making, whose hash is right, is told where it does not hold together", async () => {
  const { stdout } = await weft("dump", block, "--stage", "plan", "--format", "json");
  const plan = JSON.parse(stdout) as Plan;
  const steps = (change: object) =>
    plan.programs.map((one) => ({ ...one, steps: one.steps.map((step) => ({ ...step, ...change })) }));
  const damaged: readonly (readonly [change: object, message: RegExp])[] = [
    [{ buffers: null }, /the plan must hold together; given .*null/],
    [{ kernels: plan.kernels.map(() => null) }, /the plan must hold together/],
    [{ programs: steps({ kernel: -1 }) }, /the plan must hold together/],
    [{ programs: steps({ bindings: [99, 98, 97, 96] }) }, /the plan must hold together/],
    [{ programs: [] }, /the plan must hold together; given no programs/],
    [
      { buffers: plan.buffers.map((one) => ({ ...one, bytes: 1e300 })) },
      /the plan must hold together; given a buffer must lie inside its arena: .*1e\+300/,
    ],
    [{ version: "3" }, /the plan must be of version \d+; given version "3"/],
  ];
  await withFolder(async (folder) => {
    const file = join(folder, "plan.json");
    for (const [change, message] of damaged) {
      const changed = { ...plan, ...change } as Plan;
      writeFileSync(file, JSON.stringify({ ...changed, hash: hashPlan(changed) }));
      const { code, stderr } = await weft("inspect", file, "--json");
      assert.is(code, 2, stderr);
      assert.match(stderr, message);
      assert.match(stderr, /at .*plan\.json; compile it again/);
      assert.not.match(stderr, /\n\s+at |internal:/);
    }
  });
});

test("measured times are those of this plan, step by step", async () => {
  const { stdout } = await weft("dump", block, "--stage", "plan", "--format", "json");
  const { hash } = JSON.parse(stdout) as Plan;
  await withFolder(async (folder) => {
    const file = join(folder, "profile.json");
    const given = (value: unknown) => {
      writeFileSync(file, typeof value === "string" ? value : JSON.stringify(value));
      return weft("inspect", block, "--profile", file, "--json");
    };
    const at = { seq: 64 };
    const programs = [{ name: "main", at, nanoseconds: [1500, 250] }];
    const { code, stdout: view } = await given({ version: 2, plan: hash, programs });
    assert.is(code, 0);
    const [shown] = (JSON.parse(view) as View).programs;
    assert.equal(shown!.measured, [1500, 250]);
    // Times are held against what is moved and computed at the sizes that were measured, not at others.
    assert.equal(shown!.at, at);
    const { stdout: plain } = await weft("inspect", block, "--lead=seq=64", "--json");
    const [small] = (JSON.parse(plain) as View).programs;
    const costs = (steps: PackedRows) => unpackRows(steps).map((row) => row.slice(6, 9));
    assert.equal(costs(shown!.steps), costs(small!.steps));
    const wrong: readonly (readonly [unknown, RegExp])[] = [
      ["{", /\[profile\] the file must hold JSON/],
      [{ version: 2, plan: hash }, /must hold the programs that were measured/],
      [{ version: 1, plan: hash, programs }, /must be of version 2; given 1/],
      [{ version: 2, plan: "abc", programs }, /must be those of this plan; given plan "abc", not /],
      [
        { version: 2, plan: hash, programs: [{ name: "main", at, nanoseconds: [1] }] },
        /must have the times of all 2 steps; given "main" with 1 times/,
      ],
      [
        { version: 2, plan: hash, programs: [{ name: "main", nanoseconds: [1, 2] }] },
        /must have the sizes that it was measured at; given "main" at nothing/,
      ],
      [
        { version: 2, plan: hash, programs: [{ name: "main", at: { seq: 513 }, nanoseconds: [1, 2] }] },
        /must have the sizes that it was measured at; given "main" at {"seq":513}/,
      ],
      [
        { version: 2, plan: hash, programs: [{ name: "other", nanoseconds: [1, 2] }, null] },
        /of a program of the plan; given "other" with 2 times; .*\n.*given nothing with nothing/,
      ],
    ];
    for (const [value, message] of wrong) {
      const refused = await given(value);
      assert.is(refused.code, 2);
      assert.match(refused.stderr, message);
    }
    assert.match(
      (await weft("inspect", block, "--profile", join(folder, "no.json"), "--json")).stderr,
      /\[--profile\] the file must be readable; given ENOENT/,
    );
  });
});

test("of a plan nothing is left to be decided, and of another version nothing is believed", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "plan.json");
    const { stdout } = await weft("dump", block, "--stage=plan", "--format=json");
    writeFileSync(file, stdout);
    for (const option of [
      "--dtype=bf16",
      "--capacity=8",
      "--lead=seq=4",
      "--export=x",
      "--no-rescore",
      "--train",
    ]) {
      const { code, stderr } = await weft("inspect", file, option, "--json");
      assert.is(code, 2, option);
      assert.match(stderr, `[${option.split("=")[0]}] `);
      assert.match(stderr, "leave it out");
    }
    const both = await weft("inspect", file, "--json", "--out", join(folder, "page.html"));
    assert.is(both.code, 2);
    assert.match(both.stderr, /^\[--out\] must be left out with --json/);
    // Its version is told before its hash, which may have been another one's way of hashing.
    writeFileSync(file, stdout.replace(/"version": \d+/, '"version": 1'));
    for (const argv of [
      ["inspect", file, "--json"],
      ["diff", file, file],
    ]) {
      const { code, stderr } = await weft(...argv);
      assert.is(code, 2);
      assert.match(
        stderr,
        /^\[plan\] the plan must be of version \d+; given version 1; at .*plan\.json; compile it again/,
      );
    }
  });
});

test("units for FP4 are a GPU's", async () => {
  const { code, stdout, stderr } = await weft("inspect", tiny, "--fp4=hardware", "--json");
  assert.is(code, 2);
  assert.is(stdout, "");
  assert.is(stderr, "[--fp4] must go with a GPU; given --device cpu; add --device cuda, or leave it out\n");
});

test("a target that is not there or exports nothing usable leaves no page", async () => {
  await withFolder(async (folder) => {
    const out = join(folder, "page.html");
    const missing = await weft("inspect", join(folder, "blok.ts"), "--out", out);
    assert.is(missing.code, 2);
    assert.match(missing.stderr, /\[TARGET\] must exist; given ".*blok\.ts"/);
    const file = join(folder, "nothing.ts");
    writeFileSync(file, "export const width = 4;");
    const nothing = await weft("inspect", file, "--out", out);
    assert.is(nothing.code, 2);
    assert.match(nothing.stderr, /must export a block or a graph; given width \(a value of type number\)/);
    assert.not(existsSync(out));
  });
});

test("an output that cannot be written is told before anything is compiled", async () => {
  await withFolder(async (folder) => {
    writeFileSync(join(folder, "file"), "");
    mkdirSync(join(folder, "pages"));
    // The target does not exist either: the output is looked at first.
    const within = await weft("inspect", "nowhere", "--out", join(folder, "file/page.html"));
    assert.is(within.code, 2);
    assert.match(
      within.stderr,
      /^\[--out\] the folder must be writable; given E.*; at .*file\/page\.html; name another file with --out\n$/,
    );
    const taken = await weft("inspect", "nowhere", "--out", join(folder, "pages"));
    assert.match(
      taken.stderr,
      /^\[--out\] must name a file; given the folder .*; use .*pages\/page\.html\n$/,
    );
    // Nobody, not even root, can make a file here.
    if (existsSync("/proc/self"))
      assert.match(
        (await weft("inspect", block, "--out", "/proc/page.html")).stderr,
        /^\[--out\] the folder must be writable/,
      );
    assert.equal(readdirSync(join(folder, "pages")), []);
  });
});

test.run();
