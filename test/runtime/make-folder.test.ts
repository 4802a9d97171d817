/** Folders that are made with those above them, or refused at once. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { makeFolder } from "@weft/runtime";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("make a folder");
const root = resolve(import.meta.dirname, "../..");
let folder = "";
test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), "weft-folder-"));
});
test.after.each(() => rmSync(folder, { recursive: true, force: true }));

test("with the ones above it, and again", () => {
  const deep = join(folder, "a/b/c");
  for (let time = 0; time < 2; time++) {
    makeFolder(deep);
    assert.ok(statSync(deep).isDirectory());
  }
});

test("not below a file", () => {
  writeFileSync(join(folder, "file"), "");
  assert.throws(() => makeFolder(join(folder, "file/a")), /ENOTDIR/);
  assert.not.ok(existsSync(join(folder, "file/a")));
});

if (process.platform === "linux") {
  test("where none can be made, the command goes on without a cache", () => {
    const { WEFT_CACHE_DIR: _, XDG_CACHE_HOME: __, ...environment } = process.env;
    const source = `
      import { run } from "@weft/cli";
      import { makeFolder } from "@weft/runtime";
      try {
        makeFolder("/proc/none/a/b");
      } catch (error) {
        console.log(error.code);
      }
      await run(["generate", "test/fixtures/tiny", "--tokens", "1,2", "--max-tokens", "1", "--device", "cuda-sim"]);`;
    const { status, signal, stdout, stderr } = spawnSync(
      process.execPath,
      ["--conditions=source", "--import", "tsx", "--input-type=module", "-e", source],
      { cwd: root, env: { ...environment, HOME: "/proc/none" }, encoding: "utf8", timeout: 120_000 },
    );
    assert.is(signal, null, "it hangs");
    assert.is(status, 0, stderr);
    assert.match(stdout, /^ENOENT\n./);
  });
}

test.run();
