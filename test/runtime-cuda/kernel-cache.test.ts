/** Compiled modules on disk: found again, never wrong, never in the way. */
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cacheStatus, clearCache } from "@weft/runtime";
import { type Compiler, cachedCompilation, KernelCache } from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("kernel cache");
let folder = "";
let directory = "";
let remarks: string[] = [];
test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), "weft-kernels-"));
  directory = join(folder, "kernels");
  remarks = [];
});
test.after.each(() => rmSync(folder, { recursive: true, force: true }));

/** Compiles anything to bytes that tell what they were made of. */
class CountingCompiler implements Compiler {
  readonly name: string = "counting";
  readonly version: string = "1.2";
  readonly flags: readonly string[] = ["-O3"];
  count = 0;
  async compile(source: string, target: string) {
    this.count++;
    return { image: Buffer.from(`\0${source}\n${target}\xff`, "latin1"), log: `log of ${target}\n` };
  }
}
const open = (limitBytes?: number) =>
  new KernelCache({
    directory,
    remark: (text) => remarks.push(text),
    ...(limitBytes === undefined ? {} : { limitBytes }),
  });
const files = () => readdirSync(directory).map((name) => join(directory, name));

test("the second time it is read: the same bytes and the same log, by any process", async () => {
  const compiler = new CountingCompiler();
  const first = await cachedCompilation(open(), compiler, "source €", "sm_90a");
  const second = await cachedCompilation(open(), compiler, "source €", "sm_90a");
  assert.is(compiler.count, 1);
  assert.equal([...second.image], [...first.image]);
  assert.is(second.log, first.log);
  assert.equal(remarks, []);
});

test("whatever the image depends on makes an entry of its own", async () => {
  const compiler = new CountingCompiler();
  const variants: Compiler[] = [
    compiler,
    Object.assign(new CountingCompiler(), { name: "other" }),
    Object.assign(new CountingCompiler(), { version: "1.3" }),
    Object.assign(new CountingCompiler(), { flags: ["-O3", "-g"] }),
    Object.assign(new CountingCompiler(), { flags: ["-O3 -g"] }),
  ];
  for (const one of variants) await cachedCompilation(open(), one, "source", "sm_90a");
  await cachedCompilation(open(), compiler, "source ", "sm_90a");
  await cachedCompilation(open(), compiler, "source", "sm_80");
  assert.is(files().length, 7);
  assert.is(compiler.count, 3);
});

const damages: Readonly<Record<string, (entry: Buffer) => Buffer>> = {
  "cut short": (entry) => entry.subarray(0, entry.length - 5),
  "cut to its first line": (entry) => entry.subarray(0, entry.indexOf(10)),
  emptied: () => Buffer.alloc(0),
  "changed in one bit of its image": (entry) => {
    const changed = Buffer.from(entry);
    changed[changed.length - 2]! ^= 1;
    return changed;
  },
  "changed in its source": (entry) =>
    Buffer.from(entry.toString("latin1").replace("source", "sauce!"), "latin1"),
  "of another format": (entry) =>
    Buffer.from(entry.toString("latin1").replace("weft-kernel 1", "weft-kernel 0"), "latin1"),
  "something else": () => Buffer.from("hello\nworld\n"),
};
for (const [name, damage] of Object.entries(damages)) {
  test(`an entry that was ${name} is removed with a remark and made again`, async () => {
    const compiler = new CountingCompiler();
    const whole = await cachedCompilation(open(), compiler, "source", "sm_90a");
    const [file] = files();
    const entry = readFileSync(file!);
    writeFileSync(file!, damage(entry));
    const again = await cachedCompilation(open(), compiler, "source", "sm_90a");
    assert.is(compiler.count, 2);
    assert.equal([...again.image], [...whole.image]);
    assert.is(remarks.length, 1);
    assert.ok(remarks[0]!.startsWith(`[kernel cache] removed ${file}: it`), remarks[0]);
    assert.equal(readFileSync(file!), entry);
  });
}

test("a sound entry under a wrong name is not believed", async () => {
  const compiler = new CountingCompiler();
  await cachedCompilation(open(), compiler, "one", "sm_90a");
  const [one] = files();
  await cachedCompilation(open(), compiler, "two", "sm_90a");
  const two = files().find((file) => file !== one)!;
  renameSync(one!, two);
  const { image } = await cachedCompilation(open(), compiler, "two", "sm_90a");
  assert.is(Buffer.from(image).toString("latin1"), "\0two\nsm_90a\xff");
  assert.match(remarks[0]!, "it was compiled from other inputs");
});

test("beyond the limit the entries that were not used for longest go", async () => {
  const compiler = new CountingCompiler();
  const source = (name: string) => name.repeat(1000);
  for (const [index, name] of ["a", "b", "c"].entries()) {
    await cachedCompilation(open(), compiler, source(name), "sm_90a");
    const file = files().find((one) => readFileSync(one, "utf8").includes(source(name)))!;
    utimesSync(file, index + 1, index + 1);
  }
  const size = readFileSync(files()[0]!).length;
  // Reading counts as use: b is now the oldest, then c.
  await cachedCompilation(open(), compiler, source("a"), "sm_90a");
  await cachedCompilation(open(3 * size), compiler, source("d"), "sm_90a");
  assert.is(files().length, 3);
  assert.is(compiler.count, 4);
  for (const name of ["a", "c", "d"]) await cachedCompilation(open(), compiler, source(name), "sm_90a");
  assert.is(compiler.count, 4);
  // What fits at no time drives nothing out.
  await cachedCompilation(open(size), compiler, source("eeeee"), "sm_90a");
  assert.is(files().length, 3);
});

test("what a dead process left behind goes with time, what a living one writes stays", async () => {
  const cache = open();
  await cachedCompilation(cache, new CountingCompiler(), "a", "sm_90a");
  const [old, young] = ["old", "young"].map((name) => join(directory, `${name}.tmp`)) as [string, string];
  for (const file of [old, young]) writeFileSync(file, "half");
  utimesSync(old, 1, 1);
  await cachedCompilation(cache, new CountingCompiler(), "b", "sm_90a");
  assert.not.ok(existsSync(old));
  assert.ok(existsSync(young));
});

test("a folder that cannot be used fails nothing, and no folder keeps nothing", async () => {
  writeFileSync(directory, "a file where the folder should be");
  const compiler = new CountingCompiler();
  for (const cache of [open(), new KernelCache({ directory: "" })]) {
    for (let time = 0; time < 2; time++) await cachedCompilation(cache, compiler, "source", "sm_90a");
  }
  assert.is(compiler.count, 4);
  assert.equal(remarks, []);
  assert.equal(readdirSync(folder), ["kernels"]);
});

test("what the compiler throws is thrown, and nothing is kept", async () => {
  const compiler = Object.assign(new CountingCompiler(), {
    compile: () => Promise.reject(new Error("does not compile")),
  });
  try {
    await cachedCompilation(open(), compiler, "source", "sm_90a");
    assert.unreachable();
  } catch (error) {
    assert.is((error as Error).message, "does not compile");
  }
  assert.not.ok(existsSync(directory));
});

test("status counts entries and bytes; clear removes them and nothing else", async () => {
  const environment = { WEFT_CACHE_DIR: folder };
  assert.equal(cacheStatus("kernels", environment), { kind: "kernels", directory, entries: 0, bytes: 0 });
  for (const name of ["a", "b"]) await cachedCompilation(open(), new CountingCompiler(), name, "sm_90a");
  const bytes = files().reduce((sum, file) => sum + readFileSync(file).length, 0);
  writeFileSync(join(directory, "notes.txt"), "of the user");
  const status = { kind: "kernels", directory, entries: 2, bytes };
  assert.equal(cacheStatus("kernels", environment), status);
  assert.equal(clearCache("kernels", environment), status);
  assert.equal(readdirSync(directory), ["notes.txt"]);
  assert.is(cacheStatus("kernels", { WEFT_CACHE_DIR: "" }).directory, "");
  assert.is(clearCache("plans", { WEFT_CACHE_DIR: "" }).entries, 0);
});

test.run();
