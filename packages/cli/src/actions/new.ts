/** `weft new`: a project around a model that the user changes. */
import { basename, resolve } from "node:path";
import { maxSize, orThrow, parametersOf } from "@weft/dsl";
import { compileQwen3, parseQwen3Config, type Qwen3Config, qwen3Model } from "@weft/qwen3";
import type { NewFlags } from "../commands/new.ts";
import { configObject } from "../model/config-object.ts";
import { type Pins, projectFiles } from "../new/project.ts";
import { checkDestination, writeProject } from "../new/write.ts";
import { print } from "../terminal/output.ts";
import { refuse } from "../terminal/refuse.ts";
import { packageVersion } from "../version.ts";

export async function newProject({ config: file, out = "my-qwen3" }: NewFlags): Promise<void> {
  if (file === undefined)
    refuse("new", "needs the sizes of the model", { remedy: "give --config config.json" });
  const json = configObject(file);
  const config = orThrow(parseQwen3Config(json, file));
  checkDestination(out);
  const name = packageName(basename(resolve(out)));
  const files = projectFiles({ name, version: packageVersion(), config, json, pins: pinsOf(config) });
  writeProject(out, files);
  await print([`${out}:`, ...[...files.keys()].map((path) => `  ${path}`)].join("\n"));
}

/** What the test of the new project holds: the same block is compiled for it, so it is the compiler's own word. */
function pinsOf(config: Qwen3Config): Pins {
  const counts = orThrow(parametersOf(qwen3Model(config))).map(({ axes }) =>
    axes.reduce((count, { size }) => count * maxSize(size), 1),
  );
  const options = { capacity: 64, chunk: 16, policy: "f32", logits: "last", record: false } as const;
  const { plan } = orThrow(compileQwen3(config, { ...options, storage: () => "f32" }));
  const decode = plan.programs.find((program) => program.name === "decode")!;
  return { parameters: counts.reduce((sum, count) => sum + count, 0), decodeSteps: decode.steps.length };
}

/** What npm takes for a name: lower case, no spaces, no dot in front. */
function packageName(folder: string): string {
  const plain = folder
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, "-")
    .replace(/^[._-]+|-+$/g, "");
  return plain === "" ? "my-qwen3" : plain;
}
