/** Where an error says that the DSL was called: at the user's line, also of a program that reads source maps. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";

// As it is installed: compiled, with maps to sources that lie in another folder.
const library = new URL("../../../packages/dsl/dist/index.js", import.meta.url).href;

test("the line is the user's, with and without source maps", () => {
  const folder = mkdtempSync(join(tmpdir(), "weft-location-"));
  try {
    const file = join(folder, "mine.mjs");
    const lines = [
      `import { axis, linear, wire } from ${JSON.stringify(library)};`,
      `const up = linear("up", axis("hidden", 4), axis("wide", 8));`,
      `try {`,
      `  wire("up ->> down", { up });`,
      `} catch (error) {`,
      `  console.log(error.message.split("\\n")[0]);`,
      `}`,
    ];
    writeFileSync(file, lines.join("\n"));
    for (const flags of [[], ["--enable-source-maps"]]) {
      const { stdout, stderr } = spawnSync(process.execPath, [...flags, file], {
        cwd: folder,
        encoding: "utf8",
        env: { ...process.env, NODE_OPTIONS: "" },
      });
      assert.match(stdout, /^\[wire\] no block is called down; .*; at mine\.mjs:4:3$/m, stderr);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
