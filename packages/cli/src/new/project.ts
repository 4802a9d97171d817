/** The files of a new project. What a user edits is source here; what runs it is imported from the packages. */
import { readFileSync } from "node:fs";
import type { Qwen3Config } from "@weft/qwen3";
import { modelSource } from "./model-source.ts";

/** What the graph test holds, as the compiler has it now. */
export interface Pins {
  readonly parameters: number;
  /** Kernels that a decode step runs. */
  readonly decodeSteps: number;
}

export interface ProjectInput {
  readonly name: string;
  readonly version: string;
  readonly config: Qwen3Config;
  /** The given config.json. */
  readonly json: Readonly<Record<string, unknown>>;
  readonly pins: Pins;
}

/** Contents by path in the project. */
export function projectFiles({
  name,
  version,
  config,
  json,
  pins,
}: ProjectInput): ReadonlyMap<string, string> {
  // Random weights are plain, whatever the checkpoint that the file came from had.
  const { quantization_config: _, ...plain } = json;
  return new Map([
    ["package.json", asJson(packageJson(name, version))],
    ["tsconfig.json", asJson(tsconfig)],
    [".gitignore", "node_modules/\nrandom-weights/\n"],
    ["config.json", asJson(plain)],
    ["src/model.ts", modelSource(config)],
    ["src/random-weights.ts", template("src/random-weights.ts")],
    ["src/run.ts", template("src/run.ts")],
    [
      "test/model.test.ts",
      template("test/model.test.ts")
        .replace("__PARAMETERS__", String(pins.parameters))
        .replace("__DECODE_STEPS__", String(pins.decodeSteps)),
    ],
  ]);
}

/** What is the same in every project lies as it is beside the sources of this package. */
const template = (path: string) =>
  readFileSync(new URL(`../../template/qwen3/${path}`, import.meta.url), "utf8");

const asJson = (value: unknown) => `${JSON.stringify(value, undefined, 2)}\n`;

const packageJson = (name: string, version: string) => ({
  name,
  version: "0.1.0",
  private: true,
  type: "module",
  engines: { node: ">=20.19.0" },
  scripts: {
    start: "node --import tsx src/run.ts",
    test: "node --import tsx --test test/model.test.ts",
    check: "tsc --noEmit",
  },
  dependencies: { "@weft/dsl": version, "@weft/qwen3": version, tsx: "^4.23.0" },
  devDependencies: { "@types/node": "^20.19.0", "@weft/cli": version, typescript: "^7.0.0" },
});

const tsconfig = {
  compilerOptions: {
    target: "es2023",
    lib: ["es2023", "esnext.disposable"],
    module: "nodenext",
    types: ["node"],
    strict: true,
    noEmit: true,
    allowImportingTsExtensions: true,
    verbatimModuleSyntax: true,
    skipLibCheck: true,
  },
  include: ["src", "test"],
};
