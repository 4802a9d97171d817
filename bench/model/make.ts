/**
 * Makes a random checkpoint, once: files that exist are kept.
 *
 *     node --import tsx bench/model/make.ts SHAPE [--seed 1] [--type bf16|f32] [--out FOLDER]
 */
import { existsSync, mkdirSync, statfsSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { writeGguf } from "./gguf.ts";
import { writeHuggingFace } from "./hugging-face.ts";
import { elementsOf, type ShapeName, shapes, tensorsOf } from "./shapes.ts";
import { bytesOf, type StoredType } from "./write-file.ts";

export interface ModelFiles {
  /** The Hugging Face directory. */
  readonly directory: string;
  readonly gguf: string;
  /** Of all weights as stored. */
  readonly weightBytes: number;
}

/** Ignored by git. */
export const cacheFolder = fileURLToPath(new URL("../../.cache/bench", import.meta.url));

/** The same random weights as a Hugging Face directory and as GGUF; made where they are missing. */
export function ensureModel(
  name: ShapeName,
  type: StoredType,
  { seed = "1", folder = cacheFolder, say = (_: string) => {} } = {},
): ModelFiles {
  const shape = shapes[name];
  const stem = join(folder, `${name}-${type}-seed${seed}`);
  const files = {
    directory: stem,
    gguf: `${stem}.gguf`,
    weightBytes: tensorsOf(shape).reduce((sum, tensor) => sum + elementsOf(tensor) * bytesOf[type], 0),
  };
  mkdirSync(folder, { recursive: true });
  const steps = [
    {
      file: join(files.directory, "model.safetensors"),
      write: () => writeHuggingFace(files.directory, shape, seed, type),
    },
    { file: files.gguf, write: () => writeGguf(files.gguf, shape, seed, type) },
  ];
  for (const { file, write } of steps) {
    if (existsSync(file)) continue;
    requireSpace(folder, files.weightBytes);
    say(`making ${file} (${(files.weightBytes / 1e9).toFixed(2)} GB), once`);
    write();
  }
  return files;
}

/** The names and other small parts of a file are far below this. */
const slackBytes = 64e6;

function requireSpace(folder: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  if (free < bytes + slackBytes) {
    throw new Error(
      `[bench] ${folder} needs ${(bytes / 1e9).toFixed(2)} GB of free disk space; there are ` +
        `${(free / 1e9).toFixed(2)} GB; make room or link the folder to another disk`,
    );
  }
}

function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seed: { type: "string", default: "1" },
      type: { type: "string", default: "bf16" },
      out: { type: "string", default: cacheFolder },
    },
  });
  const name = positionals[0] ?? "";
  if (!Object.hasOwn(shapes, name) || !Object.hasOwn(bytesOf, values.type)) {
    console.error(
      `usage: make.ts ${Object.keys(shapes).join("|")} [--seed N] [--type bf16|f32] [--out FOLDER]`,
    );
    process.exitCode = 2;
    return;
  }
  const files = ensureModel(name as ShapeName, values.type as StoredType, {
    seed: values.seed,
    folder: resolve(values.out),
    say: console.error,
  });
  console.log(JSON.stringify(files));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
