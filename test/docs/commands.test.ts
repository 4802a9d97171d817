/** Every command in a shell block of README and docs runs, or at least exists with all its options. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { weft } from "../cli/command.ts";
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

const test = suite("commands in README and docs");
const blocks = pages.flatMap(blocksOf);
const named = blocks.filter(
  (one) => one.language === "ts" && !isQuotation(one) && namedFile(one) !== undefined,
);
const folder = new BlockFolder("commands", named);
test.after(() => folder.remove());

const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly scripts: Readonly<Record<string, string>>;
};

/** Words as a shell would give them; `\` at the end of a line goes on with the next. */
const wordsOf = (line: string) =>
  [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? match[3]!);

const linesOf = ({ code }: CodeBlock) =>
  code
    .replaceAll("\\\n", " ")
    .split("\n")
    .map((line) => line.replace(/(^|\s)#.*$/, "").trim())
    .filter((line) => line !== "");

/** The parts of a line that are commands of their own. */
const commandsOf = (line: string) => line.split(/ (?:&&|--(?= npx)) /).map((one) => one.trim());

/** The reader has these, or waits for them: a checkpoint, a conversation, a machine. */
const isTheReaders = (line: string) => line.includes("path/to/") || line.includes(" guard ");

/** What is wrong with a command that is not run; undefined where it could be. */
async function faultOf(command: string): Promise<string | undefined> {
  const [program, name = "", ...rest] = wordsOf(command);
  if (program === "npx" && name === "weft") {
    const [action = "", ...given] = rest;
    const { code, stdout } = await weft(action, "--help");
    if (code !== 0 || !stdout.startsWith(`Usage: weft ${action} `))
      return `there is no command weft ${action}`;
    const known = new Set(
      stdout.match(/^ +(?:-\w, )?--[\w-]+/gm)?.map((one) => one.trim().split(" ").at(-1)),
    );
    // What is quoted may be options as well: those of one side of `weft diff`.
    const unknown = given
      .flatMap((word) => word.split(" "))
      .filter((word) => word.startsWith("--") && !known.has(word.split("=")[0]));
    return unknown.length === 0 ? undefined : `weft ${action} has no ${unknown.join(", ")}`;
  }
  if (program === "npm" && ["ci", "install", "start", "test"].includes(name)) return undefined;
  if (program === "npm" && name === "run")
    return scripts[rest[0]!] === undefined ? `package.json has no script ${rest[0]}` : undefined;
  if (program === "npx" && name === "tsx")
    return existsSync(join(root, rest[0]!)) ? undefined : `there is no ${rest[0]}`;
  if (program?.startsWith("scripts/"))
    return existsSync(join(root, program)) ? undefined : `there is no ${program}`;
  return "it is no command of this project; say above the block why it is not run: <!-- not run: REASON -->";
}

for (const block of blocks.filter((one) => one.language === "sh" && one.exempt === undefined)) {
  test(`${block.page}:${block.line}`, async () => {
    let printed = "";
    for (const line of linesOf(block)) {
      const isRun = line.startsWith("npx weft ") && !isTheReaders(line);
      if (!isRun) {
        for (const command of commandsOf(line)) {
          const fault = await faultOf(command);
          assert.is(fault, undefined, `${line}: ${fault}`);
        }
        continue;
      }
      const words = wordsOf(line.slice("npx weft ".length));
      // A command on a file that the page has written runs beside it.
      const own = named.some((one) => one.page === block.page && words.includes(namedFile(one)!));
      process.chdir(own ? folder.folderOf(block.page) : root);
      try {
        const { code, stdout, stderr } = await weft(...words);
        assert.is(code, 0, `${line}\n${stdout}${stderr}`);
        assert.ok(`${stdout}${stderr}`.trim() !== "", line);
        printed += stdout;
      } finally {
        process.chdir(root);
      }
    }
    if (block.output !== undefined && !fitsOutput(printed, block.output)) assert.is(printed, block.output);
  });
}

test("the rules themselves: commands and options that are not there are found", async () => {
  assert.is(await faultOf("npx weft chat path/to/model --system X"), undefined);
  assert.match((await faultOf("npx weft chatter path/to/model"))!, "no command weft chatter");
  assert.match((await faultOf("npx weft chat path/to/model --sytsem=X"))!, "has no --sytsem");
  assert.match((await faultOf("npm run unheard-of"))!, "no script unheard-of");
  assert.match((await faultOf("make all"))!, "no command of this project");
});

test.run();
