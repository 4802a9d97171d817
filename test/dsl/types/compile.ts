/** Compiling small programs against the DSL with the project's own TypeScript, in a folder that is thrown away. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
/** The compiler of the project, which is its language server as well. */
export const compiler = join(
  dirname(createRequire(import.meta.url).resolve("typescript/package.json")),
  "bin/tsc",
);

export interface Folder {
  readonly path: string;
  /** Compiles all programs; what the compiler prints, by program name. */
  compile(): { readonly errors: ReadonlyMap<string, readonly string[]>; readonly instantiations: number };
  /** Loads one program. */
  load(name: string): Promise<{ readonly default: () => unknown }>;
  remove(): void;
}

/** What tsconfig.json of a folder of programs says: the project's rules, and nothing is written. */
export const configurationOf = (files: readonly string[]) => ({
  extends: join(root, "tsconfig.base.json"),
  compilerOptions: {
    composite: false,
    declaration: false,
    declarationMap: false,
    sourceMap: false,
    noEmit: true,
    types: ["node"],
    typeRoots: [join(root, "node_modules/@types")],
    noUnusedLocals: false,
    allowImportingTsExtensions: true,
    rewriteRelativeImportExtensions: false,
  },
  files,
});

/** A folder with one file per program. Programs may import "@weft/dsl". */
export function folderOf(programs: ReadonlyMap<string, string>): Folder {
  const folder = mkdtempSync(join(tmpdir(), "weft-types-"));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"), "dir");
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  const configuration = configurationOf([...programs.keys()].map((name) => `${name}.ts`));
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(configuration));
  for (const [name, program] of programs) writeFileSync(join(folder, `${name}.ts`), program);
  return {
    path: folder,
    compile() {
      const run = spawnSync(
        process.execPath,
        [compiler, "-p", folder, "--singleThreaded", "--extendedDiagnostics", "--pretty", "false"],
        {
          cwd: folder,
          encoding: "utf8",
        },
      );
      const errors = new Map<string, string[]>([...programs.keys()].map((name) => [name, []]));
      for (const line of run.stdout.split("\n")) {
        const found = /^(.*?)\.ts\(\d+,\d+\): error \w+: (.*)$/.exec(line);
        if (found !== null) {
          const name = found[1]!;
          errors.set(name, [...(errors.get(name) ?? []), found[2]!]);
        } else if (line.startsWith("  ")) {
          // The second line of an error: a message that is not one line shows up as one more entry.
          const [last, list] = [...errors].filter(([, all]) => all.length > 0).at(-1) ?? ["", []];
          errors.set(last, [...list, line]);
        }
      }
      const instantiations = Number(/Instantiations:\s+(\d+)/.exec(run.stdout)?.[1] ?? Number.NaN);
      return { errors, instantiations };
    },
    load: (name) => import(pathToFileURL(join(folder, `${name}.ts`)).href),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
