/** Every block of code in README and docs is run, type-checked, read or compared, or says why it cannot be. */
import { fork, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { orThrow, parseGraph, printGraph } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compiler, configurationOf } from "../dsl/types/compile.ts";
import {
  BlockFolder,
  blocksOf,
  type CodeBlock,
  fitsOutput,
  isQuotation,
  namedFile,
  pages,
  root,
} from "./pages.ts";
import type { Ran } from "./run-blocks.ts";

const test = suite("code in README and docs");
const blocks = pages.flatMap(blocksOf);
const at = ({ page, line }: CodeBlock) => `${page}:${line}`;
const inLanguage = (name: string) => blocks.filter(({ language }) => language === name);

const quotations = inLanguage("ts").filter(isQuotation);
const programs = inLanguage("ts").filter((one) => !isQuotation(one));
const executed = programs.filter(({ exempt }) => exempt === undefined);
const folder = new BlockFolder("programs", programs);
test.after(() => folder.remove());

test("no block stands outside of what is checked", () => {
  const faults = blocks.flatMap((block): string[] => {
    const { language, exempt } = block;
    if (!["ts", "sh", "output", "graph", "text"].includes(language))
      return [`${at(block)}: blocks are ts, sh, output, graph or text, not "${language}"`];
    if (language === "text" && exempt === undefined)
      return [`${at(block)}: a block of text says why above it: <!-- not run: REASON -->`];
    if (language === "ts" && exempt?.isTyped === false)
      return [`${at(block)}: TypeScript is at least type-checked: <!-- types only: REASON -->`];
    return [];
  });
  const owned = new Set(blocks.filter(({ output }) => output !== undefined).map((one) => one.output));
  for (const block of inLanguage("output"))
    if (!owned.has(block.code)) faults.push(`${at(block)}: no block before it could print this`);
  assert.equal(faults, []);
  assert.ok(executed.length > 20);
});

test("every program has the types that it says", () => {
  const configuration = configurationOf(programs.map((one) => folder.fileOf(one)));
  writeFileSync(join(folder.path, "tsconfig.json"), JSON.stringify(configuration));
  const { stdout } = spawnSync(process.execPath, [compiler, "-p", folder.path, "--pretty", "false"], {
    cwd: folder.path,
    encoding: "utf8",
  });
  // Errors are told at the lines of the page.
  const places = new Map(programs.map((one) => [relative(folder.path, folder.fileOf(one)), one]));
  const errors = stdout.replace(/^(\S+\.ts)\((\d+),/gm, (whole, file: string, line: string) => {
    const block = places.get(file);
    return block === undefined ? whole : `${block.page}:${block.line + Number(line)} (${line},`;
  });
  assert.is(errors.trim(), "");
});

/** What the programs of a page print, in one process. */
function runPage(page: string): Promise<Map<string, Ran>> {
  const files = executed.filter((one) => one.page === page).map((one) => folder.fileOf(one));
  const { FORCE_COLOR: _, ...env } = process.env;
  const child = fork(join(import.meta.dirname, "run-blocks.ts"), files, {
    cwd: root,
    execArgv: ["--conditions=source", "--import", "tsx"],
    env: { ...env, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  const results = new Map<string, Ran>();
  let complaints = "";
  child.stderr!.on("data", (text) => {
    complaints += text;
  });
  child.stdout!.resume();
  child.on("message", (one: Ran) => results.set(one.file, one));
  return new Promise((done) => {
    child.on("close", () => {
      const stopped = files.find((file) => !results.has(file));
      if (stopped !== undefined)
        results.set(stopped, { file: stopped, printed: "", error: complaints || "the process ended" });
      done(results);
    });
  });
}

const running = new Map<string, Promise<Map<string, Ran>>>();
for (const block of executed) {
  test(at(block), async () => {
    const { page, output } = block;
    if (!running.has(page)) running.set(page, runPage(page));
    const ran = (await running.get(page)!).get(folder.fileOf(block));
    assert.is(ran?.error, undefined, ran?.error);
    assert.ok(ran !== undefined, "a program before it ended the process");
    if (output !== undefined && !fitsOutput(ran.printed, output)) assert.is(ran.printed, output);
  });
}

for (const block of quotations) {
  test(`${at(block)} is a part of ${namedFile(block)}`, () => {
    const lines = (text: string) => text.split("\n").map((line) => line.trim());
    const file = lines(readFileSync(join(root, namedFile(block)!), "utf8"));
    let from = 0;
    for (const part of block.code.slice(block.code.indexOf("\n") + 1).split(/^\s*\/\/ \.\.\.\n/m)) {
      const wanted = lines(part.trim());
      const found = file.findIndex(
        (_, start) => start >= from && wanted.every((line, i) => file[start + i] === line),
      );
      assert.ok(found >= 0, `not there, or not in this order:\n${part}`);
      from = found + wanted.length;
    }
  });
}

test("graphs read, are sound, and print the same", () => {
  for (const block of inLanguage("graph"))
    assert.is(printGraph(orThrow(parseGraph(block.code)), { origins: false }), block.code, at(block));
});

test("the rules themselves: what prints something else does not fit", () => {
  assert.ok(fitsOutput("one\ntwo  \nthree\n", "one\n...\nthree\n"));
  assert.ok(fitsOutput("one\n", "one\n...\n"));
  for (const other of ["one\nthree\n", "...\ntwo\n", "one\ntwo\nthree\nfour\n", ""])
    assert.not(fitsOutput("one\ntwo\nthree\n", other), JSON.stringify(other));
});

test.run();
