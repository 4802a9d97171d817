// Every TypeScript block of README and docs runs as it stands, and every `weft` line of a shell block is a valid call.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("code in README and docs");
const root = resolve(import.meta.dirname, "../..");
const pages = ["README.md", ...readdirSync(join(root, "docs")).map((name) => `docs/${name}`)].filter((name) =>
  name.endsWith(".md"),
);

interface CodeBlock {
  readonly page: string;
  readonly line: number;
  readonly language: string;
  readonly code: string;
}

function blocksOf(page: string): CodeBlock[] {
  const text = readFileSync(join(root, page), "utf8");
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map((match) => ({
    page,
    line: text.slice(0, match.index).split("\n").length,
    language: match[1]!,
    code: match[2]!,
  }));
}

const blocks = pages.flatMap(blocksOf);
// Inside the repository, so that the packages are found; below node_modules, so that git does not see it.
const folder = join(root, "node_modules/.cache/weft-docs");

function run(args: readonly string[], input = ""): { status: number | null; output: string } {
  const { FORCE_COLOR: _, ...env } = process.env;
  const result = spawnSync(process.execPath, args, {
    cwd: root,
    encoding: "utf8",
    input,
    env: { ...env, NO_COLOR: "1" },
  });
  return { status: result.status, output: `${result.stdout}${result.stderr}` };
}

test.before(() => {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
});
test.after(() => rmSync(folder, { recursive: true, force: true }));

test("there are blocks to run", () => {
  assert.ok(blocks.filter((one) => one.language === "ts").length >= 3);
  assert.ok(blocks.filter((one) => one.language === "sh").length >= 3);
});

for (const block of blocks.filter((one) => one.language === "ts")) {
  test(`${block.page}:${block.line}`, () => {
    const file = join(folder, `${block.page.replace(/\W/g, "-")}-${block.line}.ts`);
    writeFileSync(file, block.code);
    const { status, output } = run(["--conditions=source", "--import", "tsx", file]);
    assert.is(status, 0, output);
  });
}

test("the block of README prints as README says", () => {
  const [block] = blocks.filter((one) => one.page === "README.md" && one.language === "ts");
  const file = join(folder, "readme-block.ts");
  writeFileSync(file, block!.code);
  const { output } = run(["--conditions=source", "--import", "tsx", file]);
  assert.ok(readFileSync(join(root, "README.md"), "utf8").includes(output.trim()), output);
});

// A checkpoint that the reader has, and a conversation that waits for the reader, are not run here.
const commands = blocks
  .filter((one) => one.language === "sh")
  .flatMap((block) =>
    block.code
      .split("\n")
      .map((line) => line.replace(/\s+#.*$/, "").trim())
      .filter((line) => line.startsWith("npx weft ") && !line.includes("path/to/"))
      .map((line) => ({ block, line })),
  );

for (const { block, line } of commands) {
  test(`${block.page}:${block.line}: ${line}`, () => {
    const words = [...line.slice("npx weft ".length).matchAll(/"([^"]*)"|(\S+)/g)].map(
      (match) => match[1] ?? match[2]!,
    );
    const { status, output } = run([
      "--conditions=source",
      "--import",
      "tsx",
      "packages/cli/bin/weft.js",
      ...words,
    ]);
    assert.is(status, 0, output);
    assert.ok(output.trim().length > 0);
  });
}

test.run();
