/**
 * The page in a browser: it draws itself without a complaint and without a network, what is chosen in one column is marked
 * in all, and no name of a model is read as markup. WEFT_SCREENSHOTS names a folder for pictures to be looked at.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compile } from "@weft/compiler";
import { orThrow } from "@weft/dsl";
import { compileQwen3, qwen3Model, usualOn } from "@weft/qwen3";
import { packedType, pageOf, type View, viewOf, viewVersion } from "@weft/viewer";
import type { Browser, Page } from "playwright-core";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { findChromium, openChromium, openFile } from "../support/chromium.ts";
import { hostileGraph, hostileNames } from "../support/hostile-graph.ts";
import { treeGraph } from "../support/large-graphs.ts";
import { threeLayers } from "../support/qwen3-config.ts";

const suiteOfPage = suite("view: page in Chromium");
const file = findChromium();
if (file === undefined)
  console.log(
    "  skipped: the viewer's page is not opened here, there is no Chromium (WEFT_CHROMIUM names one)",
  );
const test = file === undefined ? suiteOfPage.skip : suiteOfPage;

const roofline = { bytesPerSecond: 1e11, operationsPerSecond: 1e13, source: "a test" };
const folder = mkdtempSync(join(tmpdir(), "weft-page-"));
let browser: Browser | undefined;

function written(name: string, view: View): string {
  const path = join(folder, `${name}.html`);
  writeFileSync(path, pageOf(view));
  return path;
}

let modelPage: string | undefined;
/** A model of three layers, for a GPU. */
function model(): string {
  if (modelPage !== undefined) return modelPage;
  const compiled = orThrow(
    compileQwen3(threeLayers, {
      capacity: 64,
      chunk: 16,
      policy: "bf16",
      storage: () => "bf16",
      logits: "last",
      candidates: usualOn("cuda").candidates,
    }),
  );
  const block = qwen3Model(threeLayers);
  modelPage = written("model", viewOf(compiled, { target: "three layers", device: "cuda", block, roofline }));
  return modelPage;
}

async function picture(page: Page, name: string): Promise<void> {
  const where = process.env.WEFT_SCREENSHOTS;
  if (where !== undefined && where !== "") await page.screenshot({ path: join(where, `${name}.png`) });
}

const count = (page: Page, selector: string) => page.locator(selector).count();

suiteOfPage.before(async () => {
  if (file !== undefined) browser = await openChromium(file);
});
suiteOfPage.after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

test("a name of the notation is marked in every column", async () => {
  const { page, complaints } = await openFile(browser!, model());
  await picture(page, "start");
  await page.click('[data-path="model.layers.*.mlp.gate_proj"]');
  assert.is(await count(page, ".notation .block.selected"), 1);
  assert.match((await page.textContent(".detail h2"))!, "model.layers.0.mlp.gate_proj to model.layers.2");
  assert.ok((await count(page, ".diagram .box.linked")) > 0);
  assert.ok((await count(page, ".step.linked")) > 0);
  assert.ok((await count(page, ".buffer.linked")) > 0);
  await page.keyboard.press("s");
  assert.ok((await count(page, ".diagram .box.cluster.selected")) > 0);
  await picture(page, "block");
  assert.equal(complaints, []);
  await page.close();
});

test("from a kernel to its nodes, its text and its buffers, and from a buffer back", async () => {
  const { page, complaints } = await openFile(browser!, model());
  const step = page.locator(".step", { hasText: "silu" }).first();
  await step.click();
  assert.is(await count(page, ".step.selected"), 1);
  const detail = (await page.textContent(".detail"))!;
  assert.match(detail, "why these are one kernel");
  assert.match(detail, "it was grown from dot of model.layers.0.mlp.gate_proj");
  assert.match(detail, "why others are not in it");
  assert.match(detail, "matmul epilogue: mul: the kernel would wait for itself");
  assert.match((await page.textContent(".detail .code"))!, "const Args<");
  await page.click('.detail button:has-text("program")');
  assert.match((await page.textContent(".detail .code"))!, /^matmul /);
  assert.ok((await count(page, ".notation .block.linked")) > 0);
  await picture(page, "kernel");
  await page.locator(".detail .link", { hasText: "down_proj" }).first().click();
  assert.is(await page.textContent(".detail h2 .kind"), "buffer");
  assert.is(await count(page, ".buffer.selected"), 1);
  assert.ok((await count(page, ".step.linked")) >= 2, "who writes it and who reads it");
  await page.keyboard.press("Escape");
  assert.is(await count(page, ".selected, .linked"), 0);
  // The timeline is a picture: a place in it is the buffer that lies there.
  const timeline = (await page.locator(".timeline").boundingBox())!;
  await page.mouse.click(timeline.x + 90, timeline.y + timeline.height - 30);
  assert.is(await page.textContent(".detail h2 .kind"), "buffer");
  assert.equal(complaints, []);
  await page.close();
});

test("passes say what they added and took away, in the outline node by node", async () => {
  const { page, complaints } = await openFile(browser!, model());
  await page.click('.pass:has-text("decompose")');
  assert.match((await page.textContent(".pass.current"))!, /decompose.*\+\d+.*−\d+/);
  // What makes a drawing larger or smaller is nothing for a list.
  assert.is(await page.isDisabled('button:has-text("fit")'), false);
  await page.keyboard.press("o");
  assert.is(await page.isDisabled('button:has-text("fit")'), true);
  assert.ok((await count(page, ".outline-row.added")) > 0);
  assert.ok((await count(page, ".outline-row.gone")) > 0);
  await picture(page, "outline");
  await page.locator(".outline-row.gone").first().click();
  // What is gone leads to what took its place, and to the kernel that computes that.
  assert.ok((await count(page, ".outline-row.added.linked")) > 0);
  assert.ok((await count(page, ".step.linked")) > 0);
  await page.keyboard.press("[");
  assert.not.match((await page.textContent(".pass.current"))!, "decompose");
  assert.equal(complaints, []);
  await page.close();
});

test("equal layers are one box until one is opened; steps of equal layers are one run", async () => {
  const { page, complaints } = await openFile(browser!, model());
  await page.selectOption("#program", { label: "decode" });
  await page.click('.pass:has-text("given")');
  await page.click('button:has-text("close all")');
  const box = (name: RegExp) => page.locator(".diagram .box.scope").filter({ has: page.getByText(name) });
  assert.is(await count(page, ".diagram .box.cluster"), 0);
  await box(/^model$/)
    .locator(".toggle")
    .click();
  await box(/^layers$/)
    .locator(".toggle")
    .click();
  // The first layer has what all share.
  assert.equal(await page.locator(".diagram .box.scope .label").allTextContents(), [
    "embed_tokens",
    "0",
    "1 to 2 ×2",
    "norm",
    "lm_head",
  ]);
  await box(/×2/).dblclick();
  assert.is(await page.locator(".diagram .box.cluster > .label", { hasText: /^1$/ }).count(), 1);
  assert.is(await box(/^2$/).count(), 1);
  // One run of the same steps for all layers, the first turn of it shown.
  const run = page.locator(".kernels .run");
  assert.is(await run.count(), 1);
  assert.match((await run.textContent())!, /^▸5 steps ×3 steps 3 to 17, the first turn shown$/);
  // Only rows in sight exist; how many there are shows in the height of all.
  const height = () => page.locator(".kernels .list-space").evaluate((one) => one.clientHeight);
  const folded = await height();
  await run.click();
  assert.is(await height(), folded + 10 * 36);
  assert.equal(complaints, []);
  await page.close();
});

test("search finds blocks, kernels, nodes and buffers, by keys alone", async () => {
  const { page, complaints } = await openFile(browser!, model());
  await page.keyboard.press("/");
  await page.keyboard.type("layers.1 k_norm");
  assert.is(await page.textContent(".found .kind >> nth=0"), "block");
  await page.keyboard.press("Enter");
  assert.match((await page.textContent(".detail h2"))!, "model.layers.1.self_attn.k_norm");
  assert.not(await page.locator("#results").isVisible());
  await page.fill("#search", "gate_proj.weight");
  const kinds = await page.locator(".found .kind").allTextContents();
  assert.ok(kinds.includes("node") && kinds.includes("buffer"), kinds.join());
  await picture(page, "search");
  await page.fill("#search", "no such thing anywhere");
  assert.is(await page.getAttribute("#results", "data-count"), "0");
  assert.equal(complaints, []);
  await page.close();
});

test("light and dark, by the system and by hand", async () => {
  const background = (page: Page) => page.evaluate<string>("getComputedStyle(document.body).backgroundColor");
  const light = await openFile(browser!, model(), "light");
  const dark = await openFile(browser!, model(), "dark");
  const [lightColour, darkColour] = [await background(light.page), await background(dark.page)];
  assert.is.not(lightColour, darkColour);
  await picture(dark.page, "dark");
  await dark.page.click("#theme");
  assert.is(await background(dark.page), lightColour);
  await dark.page.keyboard.press("t");
  assert.is(await background(dark.page), darkColour);
  assert.equal([...light.complaints, ...dark.complaints], []);
  await Promise.all([light.page.close(), dark.page.close()]);
});

test("names are text, whatever is in them", async () => {
  const compiled = orThrow(
    compile([{ name: "main", graph: hostileGraph(), passes: [] }], { name: hostileNames.graph }),
  );
  const view = viewOf(compiled, { target: "<i>", device: "cuda", roofline });
  const { page, complaints } = await openFile(browser!, written("hostile", view));
  assert.match(await page.title(), hostileNames.graph);
  await page.keyboard.press("o");
  for (let sign = page.locator(".sign", { hasText: "▸" }); (await sign.count()) > 0; )
    await sign.first().click();
  await page.locator(".step").first().click();
  assert.match((await page.textContent(".detail"))!, hostileNames.parameter);
  assert.match((await page.textContent("body"))!, "<img src=x onerror=alert(1)>");
  assert.is(await count(page, "img"), 0);
  assert.is(await count(page, "script"), 2);
  assert.equal(complaints, []);
  await page.close();
});

test("of a plan alone kernels and memory are shown, and what is missing is said", async () => {
  const compiled = orThrow(compile([{ name: "main", graph: hostileGraph(), passes: [] }], { name: "alone" }));
  const measured = new Map([["main", { name: "main", at: {}, nanoseconds: [2500] }]]);
  const view = viewOf(compiled.plan, { target: "plan.json", device: "cpu", roofline, measured });
  const { page, complaints } = await openFile(browser!, written("plan", view));
  assert.match((await page.textContent(".notation"))!, "only a plan");
  // A sentence is not cut off at the end of a column.
  assert.ok(
    await page.evaluate(
      "document.querySelector('.notation').scrollWidth <= document.querySelector('.notation').clientWidth",
    ),
  );
  await page.fill("#search", "no such name");
  assert.ok(await page.isVisible("text=nothing has all these words"));
  await page.fill("#search", "");
  await page.press("#search", "Escape");
  assert.match((await page.textContent(".graph"))!, "A plan alone has no graph");
  for (const key of ["]", "[", "s", "o", "d", "p"]) await page.keyboard.press(key);
  await page.locator(".step").first().click();
  assert.match((await page.textContent(".detail .code"))!, /^rows /);
  assert.ok((await count(page, ".buffer.linked")) > 0);
  // What was measured stands beside the least that the roofline allows, which follows the rates that are put in.
  assert.match((await page.textContent(".kernels .column-note"))!, /; measured 2\.5 µs,/);
  assert.is(await page.textContent(".step .time"), "2.5 µs");
  const share = () => page.textContent('.detail dt:text-is("measured") + dd');
  const before = (await share())!;
  assert.match(before, /^2\.5 µs, \d+ % of the roofline$/);
  await page.fill("#bytesPerSecond", "1");
  await page.keyboard.press("Enter");
  assert.is.not(await share(), before);
  assert.equal(complaints, []);
  await page.close();
  const instant = new Map([["main", { name: "main", at: {}, nanoseconds: [0] }]]);
  const none = viewOf(compiled.plan, { target: "plan.json", device: "cpu", roofline, measured: instant });
  const { page: other } = await openFile(browser!, written("instant", none));
  await other.locator(".step").first().click();
  assert.match(
    (await other.textContent('.detail dt:text-is("measured") + dd'))!,
    /^0\.0 ns, too short to be told$/,
  );
  await other.close();
});

test("a graph of 20,000 nodes is drawn, searched and followed while one waits", async () => {
  const graph = treeGraph(5000);
  assert.ok(graph.nodes.length > 19_900);
  const compiled = orThrow(compile([{ name: "main", graph, passes: [] }], { name: "tree" }));
  const path = written("large", viewOf(compiled, { target: "tree", device: "cpu", roofline }));
  const timed = async (what: string, most: number, action: () => Promise<unknown>) => {
    const started = performance.now();
    await action();
    await page.evaluate("new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)))");
    const milliseconds = performance.now() - started;
    assert.ok(milliseconds < most, `${what}: ${milliseconds.toFixed(0)} ms`);
  };
  assert.match(readFileSync(path, "utf8"), `<script type="${packedType}"`, "a large view is packed");
  const begun = performance.now();
  const { page, complaints } = await openFile(browser!, path);
  // A second on a quiet machine.
  assert.ok(performance.now() - begun < 15_000, `open: ${(performance.now() - begun).toFixed(0)} ms`);
  await picture(page, "large");
  await timed("a step", 5000, () => page.locator(".step").first().click());
  assert.ok((await count(page, ".diagram .box.linked")) > 0);
  await timed("search", 5000, () => page.fill("#search", "leaf.b4321"));
  await timed("choose", 5000, () => page.press("#search", "Enter"));
  assert.ok(await page.isHidden("#results"));
  assert.match((await page.textContent(".detail h2"))!, "leaf.b4321");
  await timed("open what is around it", 10_000, () => page.keyboard.press("s"));
  await timed("the pass before", 5000, () => page.keyboard.press("["));
  await timed("the outline", 5000, () => page.keyboard.press("o"));
  assert.equal(complaints, []);
  await page.close();
});

test("a view of another version is refused in words", async () => {
  const compiled = orThrow(compile([{ name: "main", graph: hostileGraph(), passes: [] }], { name: "old" }));
  const view = viewOf(compiled, { target: "graph", device: "cpu", roofline });
  const page = await browser!.newPage();
  await page.goto(`file://${written("old", { ...view, version: 0 })}`);
  assert.match(
    (await page.textContent(".failure"))!,
    `This page cannot be shown.\nthe view must be of version ${viewVersion}; given 0`,
  );
  await page.close();
});

suiteOfPage.run();
