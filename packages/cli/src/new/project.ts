/** The files of a new project. What a user edits is source here; what runs it is imported from the packages. */
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
    ["src/random-weights.ts", randomWeights],
    ["src/run.ts", run],
    ["test/model.test.ts", graphTest(pins)],
  ]);
}

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

const run = `// npm start                               random weights, made anew each time
// npm start -- path/to/checkpoint "..."   a checkpoint whose tensors have the names and shapes of this model's parameters
import { join } from "node:path";
import { generate, openQwen3 } from "@weft/qwen3";
import model from "./model.ts";
import { writeRandomWeights } from "./random-weights.ts";

const [checkpoint, prompt = "The capital of France is"] = process.argv.slice(2);
const project = join(import.meta.dirname, "..");
const directory =
  checkpoint ?? (await writeRandomWeights(join(project, "config.json"), join(project, "random-weights")));

using opened = await openQwen3(directory, { model });
if (checkpoint === undefined) {
  // Random weights have no tokenizer, so ids go in and come out.
  const text = generate(opened, [1, 2, 3], { maxTokens: 8, temperature: 0, text: false });
  console.log("tokens:", (await text.finish()).tokens.join(", "));
} else {
  for await (const { text } of generate(opened, prompt, { maxTokens: 64 })) process.stdout.write(text);
  console.log();
}
`;

const randomWeights = `/** Weights from a seed, in the form of a checkpoint: enough to run a model that has not learnt anything yet. */
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { orThrow } from "@weft/dsl";
import { initialWeights, parseQwen3Config, requiredTensors, writeSafetensorsStream } from "@weft/qwen3";
import model from "./model.ts";

/** Writes config.json and model.safetensors, one tensor at a time, and gives the directory. */
export async function writeRandomWeights(configFile: string, directory: string, seed = 1): Promise<string> {
  const config = orThrow(parseQwen3Config(JSON.parse(readFileSync(configFile, "utf8")), configFile));
  const weightOf = initialWeights(config, { seed, model });
  const tensors = requiredTensors(config, model).map(({ name, shape }) => ({
    name,
    shape,
    dtype: "F32" as const,
    pieces: () => {
      const { data } = weightOf(name)!;
      return [new Uint8Array(data.buffer, data.byteOffset, data.byteLength)];
    },
  }));
  mkdirSync(directory, { recursive: true });
  copyFileSync(configFile, join(directory, "config.json"));
  orThrow(await writeSafetensorsStream(join(directory, "model.safetensors"), tensors));
  return directory;
}
`;

const graphTest = ({
  parameters,
  decodeSteps,
}: Pins) => `/** What the compiler makes of the model. Where a change is meant, write the new number down. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { formatWire, maxSize, orThrow, parametersOf } from "@weft/dsl";
import { compileQwen3, readQwen3Config } from "@weft/qwen3";
import model from "../src/model.ts";

const config = orThrow(readQwen3Config(join(import.meta.dirname, "..")));

test("token ids go in, and logits over the vocabulary of config.json come out", () => {
  assert.equal(formatWire(model.input), "int [...]");
  assert.equal(formatWire(model.output, { sizes: true }), "[..., vocab=" + config.vocabSize + "]");
});

test("the parameters are as many as they were", () => {
  const counts = orThrow(parametersOf(model)).map(({ axes }) =>
    axes.reduce((count, { size }) => count * maxSize(size), 1),
  );
  assert.equal(counts.reduce((sum, count) => sum + count, 0), ${parameters});
});

test("a decode step runs as many kernels as it did", () => {
  const options = { capacity: 64, chunk: 16, policy: "f32", logits: "last", record: false } as const;
  const { plan } = orThrow(compileQwen3(config, { ...options, storage: () => "f32", model }));
  const decode = plan.programs.find(({ name }) => name === "decode");
  assert.equal(decode?.steps.length, ${decodeSteps});
});
`;
