/**
 * The pages of documentation and the blocks of code in them. The language of a block says how it is held true:
 *
 * - `ts` is type-checked and run; what it prints is the `output` block behind it. Where its first line is `// name.ts`
 *   it is kept under that name, and other blocks of the page import it. Where its first line is `// packages/...`, it is
 *   a part of that file, line by line; `// ...` leaves lines out.
 * - `sh` holds commands: `npx weft` lines run, the others are looked up. What they print is the `output` block behind.
 * - `output` is what the block before it prints; a line `...` stands for any lines.
 * - `graph` is the text of a graph: it reads, is sound, and prints the same.
 * - `text` is none of these.
 *
 * A block that cannot be held true in this way says why in a comment above it: `<!-- not run: REASON -->`, or
 * `<!-- types only: REASON -->` for `ts` that is not executed.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";

export const root = resolve(import.meta.dirname, "../..");
export const pages: readonly string[] = [
  "README.md",
  ...readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

export interface CodeBlock {
  readonly page: string;
  /** Of the fence, from 1 on. */
  readonly line: number;
  /** What stands behind the fence. */
  readonly language: string;
  readonly code: string;
  /** Why it is not run, and whether its types are checked all the same. */
  readonly exempt?: { readonly reason: string; readonly isTyped: boolean };
  /** What it must print: the `output` block behind it. */
  readonly output?: string;
}

export const textOf = (page: string) => readFileSync(join(root, page), "utf8");

export function blocksOf(page: string): CodeBlock[] {
  const blocks: CodeBlock[] = [];
  let exempt: CodeBlock["exempt"];
  let open: { line: number; language: string; lines: string[] } | undefined;
  for (const [at, text] of textOf(page).split("\n").entries()) {
    const fence = /^```(.*)$/.exec(text);
    if (open !== undefined && fence === null) open.lines.push(text);
    else if (open !== undefined) {
      const { line, language, lines } = open;
      const code = lines.map((one) => `${one}\n`).join("");
      const before = blocks.at(-1);
      if (language === "output" && before !== undefined && before.output === undefined)
        blocks[blocks.length - 1] = { ...before, output: code };
      blocks.push({ page, line, language, code, ...(exempt === undefined ? {} : { exempt }) });
      [open, exempt] = [undefined, undefined];
    } else if (fence !== null) open = { line: at + 1, language: fence[1]!.trim(), lines: [] };
    else {
      const marker = /^<!-- (not run|types only): (.+) -->$/.exec(text);
      if (marker !== null) exempt = { reason: marker[2]!, isTyped: marker[1] === "types only" };
      else if (text.trim() !== "") exempt = undefined;
    }
  }
  if (open !== undefined) throw new Error(`${page}:${open.line}: the block has no end`);
  return blocks;
}

/** The path in the first line of a block: `// model.ts`. */
export const namedFile = ({ code }: CodeBlock) => /^\/\/ ([\w./-]+\.\w+)\n/.exec(code)?.[1];

/** Whether the block is a part of a file of the repository. */
export const isQuotation = (block: CodeBlock) => namedFile(block)?.includes("/") === true;

/** Inside the repository, so that packages are found, where git does not look. */
const scratch = join(root, ".cache/weft-docs");

/** A folder for the blocks of each page, with all that are programs in it. */
export class BlockFolder {
  readonly path: string;

  constructor(name: string, blocks: readonly CodeBlock[]) {
    this.path = join(scratch, name);
    rmSync(this.path, { recursive: true, force: true });
    mkdirSync(this.path, { recursive: true });
    writeFileSync(join(this.path, "package.json"), '{ "type": "module" }');
    for (const block of blocks) {
      const file = this.fileOf(block);
      if (existsSync(file)) throw new Error(`${block.page}:${block.line}: ${basename(file)} stands twice`);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, block.code);
    }
  }

  folderOf(page: string): string {
    return join(this.path, page.replace(/\W+/g, "-"));
  }

  fileOf(block: CodeBlock): string {
    return join(this.folderOf(block.page), namedFile(block) ?? `line-${block.line}.ts`);
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Whether a text is what an `output` block says. Spaces at the ends of lines do not count. */
export function fitsOutput(printed: string, expected: string): boolean {
  const lines = (text: string) =>
    text
      .replace(/[ \t]+$/gm, "")
      .trimEnd()
      .split("\n");
  const parts = lines(expected).map((line) => (line.trim() === "..." ? undefined : line));
  const fits = (actual: readonly string[], wanted: readonly (string | undefined)[]): boolean => {
    if (wanted.length === 0) return actual.length === 0;
    const [first, ...rest] = wanted;
    if (first !== undefined) return actual[0] === first && fits(actual.slice(1), rest);
    return Array.from({ length: actual.length + 1 }, (_, skipped) => skipped).some((skipped) =>
      fits(actual.slice(skipped), rest),
    );
  };
  return fits(lines(printed), parts);
}
