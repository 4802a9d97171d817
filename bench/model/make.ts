/**
 * Makes a random checkpoint, once: files that exist are kept.
 *
 *     node --import tsx bench/model/make.ts SHAPE [--seed 1] [--type bf16|f32] [--out FOLDER]
 */
import { existsSync, mkdirSync, statfsSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { orThrow } from "@weft/dsl";
import { quantizeCheckpoint } from "@weft/qwen3";
import type { FourBitType } from "./four-bit.ts";
import { ggufBytes, writeGguf } from "./gguf.ts";
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

/** The same model in 4 bits a weight, embedding and head included; norms are as they were. */
export interface FourBitFiles {
  /** The Hugging Face directory, quantised to NVFP4 in the form of compressed-tensors. */
  readonly nvfp4: string;
  readonly gguf: Readonly<Record<FourBitType, string>>;
}

interface MakeOptions {
  readonly seed?: string;
  readonly folder?: string;
  readonly say?: (text: string) => void;
}

/** Ignored by git. */
export const cacheFolder = fileURLToPath(new URL("../../.cache/bench", import.meta.url));

/** The same random weights as a Hugging Face directory and as GGUF; made where they are missing. */
export function ensureModel(
  name: ShapeName,
  type: StoredType,
  { seed = "1", folder = cacheFolder, say = () => {} }: MakeOptions = {},
): ModelFiles {
  const shape = shapes[name];
  const stem = stemOf(folder, name, type, seed);
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

const stemOf = (folder: string, name: string, type: string, seed: string) =>
  join(folder, `${name}-${type}-seed${seed}`);

/** From the bf16 weights of the same seed, which are made where they are missing. */
export async function ensureFourBit(name: ShapeName, options: MakeOptions = {}): Promise<FourBitFiles> {
  const { seed = "1", folder = cacheFolder, say = () => {} } = options;
  const { directory: model } = ensureModel(name, "bf16", options);
  const shape = shapes[name];
  const tensors = tensorsOf(shape);
  const stem = (type: string) => stemOf(folder, name, type, seed);
  const gguf = { q4_0: `${stem("q4_0")}.gguf`, mxfp4: `${stem("mxfp4")}.gguf` };
  for (const type of ["q4_0", "mxfp4"] as const) {
    if (existsSync(gguf[type])) continue;
    requireSpace(
      folder,
      tensors.reduce((sum, tensor) => sum + ggufBytes(tensor, type), 0),
    );
    say(`making ${gguf[type]}, once`);
    writeGguf(gguf[type], shape, seed, type);
  }
  const nvfp4 = stem("nvfp4");
  if (!existsSync(nvfp4)) {
    say(`making ${nvfp4}, once`);
    orThrow(
      await quantizeCheckpoint({ model, directory: nvfp4, format: "compressed-tensors", embedding: true }),
    );
  }
  return { nvfp4, gguf };
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
