/** `weft inspect`: one file, and clear words where there can be none. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hashPlan, type Plan, planVersion } from "@weft/compiler";
import type { View } from "@weft/viewer";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { root, tiny, weft, withFolder } from "./command.ts";

const block = join(root, "examples/custom-block.ts");

const viewIn = (page: string): View =>
  JSON.parse(/<script type="application\/json" id="view">(.*)<\/script>/.exec(page)![1]!);

test("a block becomes one page, and nothing else is written", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "pages/block.html");
    const { code, stdout, stderr } = await weft("inspect", block, "--out", file);
    assert.is(code, 0, stderr);
    assert.match(stdout, /block\.html: \d+\.\d+ KiB; main of 2 steps\n$/);
    assert.equal(readdirSync(join(folder, "pages")), ["block.html"]);
    const view = viewIn(readFileSync(file, "utf8"));
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
    assert.equal(viewIn(readFileSync(join(folder, "plan.html"), "utf8")).programs[0]!.stages, []);

    const old = { ...plan, version: planVersion - 1 };
    const refused = await given(JSON.stringify({ ...old, hash: hashPlan(old) }));
    assert.is(refused.code, 2);
    assert.is(
      refused.stderr,
      `[inspect] the plan must be of version ${planVersion}; given version ${planVersion - 1}; at ${file}; compile it again with this version of Weft\n`,
    );
    assert.match((await given(JSON.stringify({ ...plan, name: "x" }))).stderr, /hash must match its content/);
    assert.match((await given("{")).stderr, /\[plan\] the file must hold JSON; .*plan\.json/);
  });
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
