/**
 * Lists of files in docs are complete. `<!-- files: NAME in FOLDERS -->` above a table: the files of these folders whose code
 * has the name are just those of the table. `<!-- mentions: NAMES -->`: each file of the table has one of the names.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { pages, root, textOf } from "./pages.ts";

const test = suite("lists of files in docs");

interface FileList {
  readonly page: string;
  readonly kind: "files" | "mentions";
  readonly names: readonly string[];
  readonly folders: readonly string[];
  /** Paths in the first column. */
  readonly files: readonly string[];
}

const lists = pages.flatMap((page): FileList[] =>
  [...textOf(page).matchAll(/^<!-- (files|mentions): (.+) -->\n\n((?:\|.*\n)+)/gm)].map(
    ([, kind, terms, table]) => {
      const [names, folders = ""] = terms!.split(" in ");
      const cells = table!.split("\n").map((row) => row.split("|")[1] ?? "");
      return {
        page,
        kind: kind as FileList["kind"],
        names: names!.split(" "),
        folders: folders === "" ? [] : folders.split(" "),
        files: cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map((one) => one[1]!)),
      };
    },
  ),
);

const written = /\.(ts|mts|mjs|h|cc|cuh|cu)$|CMakeLists\.txt$|\.md$/;
const filesBelow = (folder: string) =>
  readdirSync(join(root, folder), { recursive: true })
    .map((file) => `${folder}/${String(file).replaceAll("\\", "/")}`)
    .filter((file) => written.test(file) && !/\/(node_modules|dist|build)\//.test(file));

/** The text without comments: what is said about a name elsewhere is no use of it. */
function codeOf(file: string): string {
  const text = readFileSync(join(root, file), "utf8");
  return file.endsWith(".md") ? text : text.replace(/\/\*[\s\S]*?\*\/|(?<![:"'`])\/\/.*$/gm, "");
}

const has = (file: string, names: readonly string[]) =>
  names.some((name) => new RegExp(`(?<![A-Za-z])${name}(?:_of|Kernel)?(?![A-Za-z])`).test(codeOf(file)));

for (const { page, kind, names, folders, files } of lists) {
  test(`${page}: ${kind} of ${names.join(", ")}`, () => {
    assert.ok(files.length > 1);
    assert.equal(
      files.filter((file) => !existsSync(join(root, file)) || !has(file, names)),
      [],
      "files that are not there, or have nothing of it",
    );
    const inFolders = folders.flatMap(filesBelow).filter((file) => has(file, names));
    if (kind === "files") assert.equal([...files].sort(), inFolders.sort());
  });
}

test("there are lists, and the rules find what is wrong", () => {
  assert.ok(lists.length >= 6);
  assert.ok(has("packages/compiler/cuda/rows.cuh", ["tanh"]));
  assert.not(has("packages/dsl/src/blocks/block.ts", ["tanh"]), "a comment is no use");
  assert.not(has("packages/dsl/src/ops/names.ts", ["tanh"]));
});

test.run();
