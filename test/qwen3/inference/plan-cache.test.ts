// Plans kept between starts: the same plan as a new compilation, never one for other inputs, never a broken one.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { orThrow } from "@weft/dsl";
import { type OpenOptions, openQwen3, prepareQwen3 } from "@weft/qwen3";
import { cacheDirectory } from "@weft/runtime";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("plan cache");
const tiny = resolve(import.meta.dirname, "../../fixtures/tiny");
const tied = resolve(import.meta.dirname, "../../fixtures/tiny-tied");
let planCache = "";

test.before.each(() => {
  planCache = mkdtempSync(join(tmpdir(), "weft-plans-"));
});
test.after.each(() => rmSync(planCache, { recursive: true, force: true }));

const prepare = (directory: string, options: OpenOptions = {}) =>
  orThrow(prepareQwen3(directory, { record: false, planCache, capacity: 64, ...options })).compiled;

const files = () => readdirSync(planCache);

test("the second start finds the plan of the first", () => {
  const first = prepare(tiny);
  assert.is(files().length, 1);
  const second = prepare(tiny);
  assert.is(files().length, 1);
  assert.equal(second.plan, first.plan);
  assert.equal(second.programs, first.programs);
});

test("what is found is what would be compiled", () => {
  prepare(tiny);
  const { plan } = orThrow(prepareQwen3(tiny, { capacity: 64 })).compiled;
  assert.equal(prepare(tiny).plan, plan);
});

test("other options, another model or other storage have plans of their own", () => {
  prepare(tiny);
  prepare(tiny, { capacity: 32 });
  prepare(tiny, { dtype: "bf16" });
  prepare(tiny, { logits: "all" });
  prepare(tied);
  assert.is(files().length, 5);
});

test("a plan that was changed, cut off or is no plan is compiled again", () => {
  const { plan } = prepare(tiny);
  const file = join(planCache, files()[0]!);
  const text = readFileSync(file, "utf8");
  for (const broken of [text.replace('"max":64', '"max":65'), text.slice(0, 1000), "[]", ""]) {
    assert.is.not(broken, text);
    writeFileSync(file, broken);
    assert.equal(prepare(tiny).plan, plan);
    assert.is(readFileSync(file, "utf8"), text);
  }
});

test("a folder that cannot be written, or none at all, changes nothing", () => {
  const { plan } = prepare(tiny);
  assert.equal(prepare(tiny, { planCache: join(planCache, files()[0]!, "below-a-file") }).plan, plan);
  assert.equal(prepare(tiny, { planCache: false }).plan, plan);
  assert.is(files().length, 1);
});

test("a model started from a kept plan computes the same", async () => {
  const logits: Float32Array[] = [];
  for (let start = 0; start < 2; start++) {
    using model = await openQwen3(tiny, { capacity: 64, planCache });
    const context = model.createContext();
    logits.push(Float32Array.from(await context.append([72, 101, 108])));
  }
  assert.is(files().length, 1);
  assert.equal(logits[0], logits[1]);
});

test("the folder is the user's, unless the environment names one or none", () => {
  assert.is(cacheDirectory("plans", { WEFT_CACHE_DIR: "/some/where" }), "/some/where/plans");
  assert.is(cacheDirectory("plans", { WEFT_CACHE_DIR: "" }), "");
  assert.is(cacheDirectory("plans", { XDG_CACHE_HOME: "/home/cache" }), "/home/cache/weft/plans");
});

test.run();
