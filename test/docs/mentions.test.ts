/** What README and docs name exists: files, folders, identifiers of the code, and what links lead to. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { weft } from "../cli/command.ts";
import { blocksOf, namedFile, pages, root, textOf } from "./pages.ts";

const test = suite("what README and docs mention");

/** Files and folders that are written, not built. */
const paths = ["packages", "test", "scripts", "examples", "bench", "docs"].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .map((one) =>
      join(one.parentPath, one.name)
        .slice(root.length + 1)
        .replaceAll("\\", "/"),
    )
    .filter((path) => !/(^|\/)(node_modules|dist|build|results)(\/|$)/.test(path)),
);
const known = new Set([...paths, ...readdirSync(root)]);
/** Every end of a path, so that `ops/table.ts` is found. */
const ends = new Set(
  [...known].flatMap((path) => path.split("/").map((_, at, all) => all.slice(at).join("/"))),
);

const sourceFile = /\.(ts|mts|mjs|cts|h|cc|cuh|cu|py|cmake|json)$|^package\.json$|CMakeLists\.txt$/;
const words = new Set(
  [...known]
    .filter((path) => sourceFile.test(path) && !/^(docs|test\/(fixtures|docs))\//.test(path))
    .flatMap((path) => (existsSync(join(root, path)) ? [readFileSync(join(root, path), "utf8")] : []))
    .flatMap((text) => text.match(/[A-Za-z_$][\w$]*/g) ?? []),
);

/** The page without its blocks of code. */
const proseOf = (page: string) => textOf(page).replace(/^```[\s\S]*?^```$/gm, "");
const spansOf = (page: string) =>
  [...proseOf(page).matchAll(/(?<!`)`([^`\n]+)`(?!`)/g)].map((one) => one[1]!);

/** Files that are the reader's, or that a command writes. */
const theReaders = new Set(["src/model.ts", "my-block.ts", "graph.ts"]);

test("files and folders of the repository are there", () => {
  const faults: string[] = [];
  for (const page of pages) {
    const own = new Set(blocksOf(page).map(namedFile));
    for (const span of new Set(spansOf(page))) {
      const path = span.replace(/\/$/, "");
      const isRooted = /^(packages|test|scripts|examples|bench|docs)\/[\w@./-]+$/.test(span);
      const isSource =
        /^[\w./-]+\.(ts|mts|mjs|cc|h|cuh)$/.test(span) && !theReaders.has(span) && !own.has(span);
      if (isRooted && !known.has(path) && !/^bench\/results/.test(path)) faults.push(`${page}: ${span}`);
      else if (!isRooted && isSource && !ends.has(path)) faults.push(`${page}: ${span}`);
    }
  }
  assert.equal(faults, []);
});

/** Names in code type that no source of ours spells alone: they are others'. */
const foreign: ReadonlyMap<string, string> = new Map([["VEC16_UE4M3", "the end of a constant of cuBLASLt"]]);

test("identifiers are words of the code", () => {
  const faults: string[] = [];
  for (const page of pages) {
    for (const span of new Set(spansOf(page))) {
      const name = /^(?:new )?([A-Za-z_$][\w$]*)(?:<[^>]*>)?(?:\(.*\))?$/.exec(span)?.[1];
      if (name !== undefined && !words.has(name) && !foreign.has(name)) faults.push(`${page}: ${span}`);
    }
  }
  assert.equal(faults, []);
  // A reason that is no longer needed goes.
  assert.equal(
    [...foreign.keys()].filter(
      (name) => words.has(name) || !pages.some((page) => spansOf(page).includes(name)),
    ),
    [],
  );
});

test("links lead to pages and headings that are there", () => {
  const anchorsOf = (page: string) =>
    [...textOf(page).matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
      title!
        .toLowerCase()
        .replace(/[^\w\- ]/g, "")
        .replaceAll(" ", "-"),
    );
  const faults: string[] = [];
  for (const page of pages) {
    for (const [, link] of proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(link!)) continue;
      const [file, anchor] = link!.split("#");
      const target = file === "" ? page : join(dirname(page), file!);
      if (!existsSync(join(root, target))) faults.push(`${page}: ${link}`);
      else if (anchor !== undefined && !anchorsOf(target).includes(anchor)) faults.push(`${page}: ${link}`);
    }
  }
  assert.equal(faults, []);
});

test("every pass has its row in the architecture, and every command its place in README or docs", async () => {
  const folder = "packages/compiler/src/passes";
  const passes = paths
    .filter((path) => path.startsWith(folder) && path.endsWith(".ts"))
    .flatMap((path) => [...readFileSync(join(root, path), "utf8").matchAll(/name: "(\w+)",\n\s+summary:/g)])
    .map((one) => one[1]!);
  assert.ok(passes.includes("simplify") && passes.length >= 15);
  const rows = textOf("docs/architecture.md")
    .match(/^\| `.*$/gm)!
    .join("\n");
  assert.equal(
    passes.filter((name) => !rows.includes(`\`${name}\``)),
    [],
  );
  const { stdout } = await weft("--help");
  const commands = [...stdout.matchAll(/^ {2}([a-z]+) \[options\]/gm)].map((one) => one[1]!);
  assert.ok(commands.length >= 19);
  const text = pages.map(textOf).join("\n");
  assert.equal(
    commands.filter((name) => !text.includes(`weft ${name}`)),
    [],
  );
});

test("every page of docs is in README's list", () => {
  const readme = textOf("README.md");
  assert.equal(
    pages.filter((page) => page.startsWith("docs/") && !readme.includes(`](${page})`)),
    [],
  );
});

test.run();
