/** Quantises a checkpoint to NVFP4, or brings one that is quantised already into another format; the codes stay then. */
import { randomBytes } from "node:crypto";
import { copyFile, mkdir, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { makeFolder } from "@weft/runtime";
import { sequenceS } from "fp-ts/lib/Apply.js";
import * as Either from "fp-ts/lib/Either.js";
import { directoryOf, type JsonObject, kindOfPath, readJsonObject } from "../config/json-file.ts";
import {
  type Checked,
  collecting,
  messageOf,
  type Problems,
  refuse,
  unlessProblems,
  unsupportedProblem,
  WeftError,
} from "../config/problems.ts";
import { type QuantizationConfig, readQuantizationConfigs } from "../config/quantization/index.ts";
import { readQwen3Config } from "../config/qwen3-config.ts";
import { companionFiles } from "../training/checkpoint/export.ts";
import type { DatTensor } from "../weights/dat/index.ts";
import { datLayout } from "../weights/dat/index.ts";
import type { FileLayout } from "../weights/file-layout.ts";
import {
  type Checkpoint,
  checkQuantization,
  type Nvfp4Format,
  openCheckpoint,
  storedWeights,
} from "../weights/index.ts";
import { isLinear } from "../weights/nvfp4/agreement.ts";
import type { StoredWeights } from "../weights/nvfp4/index.ts";
import { safetensorsLayout } from "../weights/safetensors-layout.ts";
import {
  headName,
  type LinearToEncode,
  linearsToEncode,
  moduleOf,
  type Selection,
  tableName,
} from "./items.ts";
import { measure } from "./measure.ts";
import { type Outputs, outputBytes, outputsOf } from "./outputs.ts";
import { type QuantizeReport, reportOf } from "./report.ts";
import { originalsKey } from "./tensor-scale.ts";
import { writeOutputs } from "./write-outputs.ts";
import { configJson, hfQuantConfigJson, type WrittenConfig } from "./written-config.ts";

export interface QuantizeOptions extends Partial<Selection> {
  /** A checkpoint directory, or one weight file with its config.json beside it. */
  readonly model: string;
  /** Must not exist yet. */
  readonly directory: string;
  readonly format: Nvfp4Format;
  /** Tries for each block whether 4 or 6 as its largest code is nearer. Default false. */
  readonly fourOverSix?: boolean;
  /** Bytes read or written so far, of all. */
  readonly onProgress?: (phase: "reading" | "writing", done: number, total: number) => void;
  /** Aborted: nothing is left behind, and the signal's reason is thrown. */
  readonly signal?: AbortSignal;
}

/**
 * Reads the checkpoint twice (largest magnitudes, then the values) and holds no more than a part of one tensor in memory.
 *
 * Left: a checkpoint that is broken or contradicts itself, NaN or infinity in it, linears that cannot be quantised, a
 * directory that exists, a disk that refuses. The directory is there whole, or not at all.
 *
 * @example
 * const report = await quantizeCheckpoint({
 *   model: "models/Qwen3-0.6B",
 *   directory: "models/Qwen3-0.6B-nvfp4",
 *   format: "compressed-tensors",
 * });
 */
export async function quantizeCheckpoint(
  options: QuantizeOptions,
): Promise<Either.Either<Problems, QuantizeReport>> {
  const { directory } = options;
  if (kindOfPath(directory) !== "absent") {
    return refuse(directory, "must not exist yet", {
      given: `a ${kindOfPath(directory)}`,
      remedy: "give a new directory, or remove this one",
    });
  }
  try {
    const source = sourceOf(options);
    return Either.isLeft(source) ? source : await quantizeSource(source.right, options);
  } catch (error) {
    if (error instanceof WeftError) return Either.left(error.problems);
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    return refuse(directory, "must be writable", {
      given: messageOf(error),
      remedy: "check the path, its permissions and the free space; nothing was written",
    });
  }
}

interface Source {
  readonly directory: string;
  readonly checkpoint: Checkpoint;
  readonly stored: StoredWeights;
  readonly encode: readonly LinearToEncode[];
  readonly config: JsonObject;
  readonly quantization: readonly QuantizationConfig[];
  readonly tied: boolean;
  /** The head was the table before it was quantised. */
  readonly headWasTable: boolean;
  readonly plainHead: boolean;
}

function sourceOf({
  model,
  exclude = [],
  head = false,
  embedding = false,
  plainHead = false,
  fourOverSix = false,
}: QuantizeOptions): Checked<Source> {
  if (plainHead && !head)
    return refuse("plainHead", "keeping the plain head needs a head that is quantised", {
      given: "a head that stays as it is",
      remedy: "add head, or leave it out",
    });
  const checkpoint = openCheckpoint(model);
  if (Either.isLeft(checkpoint)) return checkpoint;
  const directory = directoryOf(model);
  const config = readQwen3Config(directory);
  if (Either.isLeft(config)) return config;
  const agreed = checkQuantization(directory, checkpoint.right);
  if (Either.isLeft(agreed)) return agreed;
  const found = sequenceS(collecting)({
    stored: storedWeights(checkpoint.right),
    quantization: readQuantizationConfigs(directory),
    json: readJsonObject(join(directory, "config.json"), "fetch it again"),
  });
  if (Either.isLeft(found)) return found;
  const { stored, quantization, json } = found.right;
  const encode = linearsToEncode(checkpoint.right, stored, { exclude, head, embedding, plainHead });
  if (fourOverSix && Either.isRight(encode) && encode.right.length === 0)
    return refuse("four-over-six", "needs weights that are encoded", {
      given: "a checkpoint that is quantised already: its codes are kept",
      remedy: "leave it out, or begin with a plain checkpoint",
    });
  return Either.map(
    (encode: readonly LinearToEncode[]): Source => ({
      directory,
      checkpoint: checkpoint.right,
      stored,
      encode,
      config: json,
      quantization,
      tied: config.right.tiedEmbeddings,
      headWasTable: config.right.plainHead !== undefined,
      plainHead,
    }),
  )(encode);
}

async function quantizeSource(source: Source, options: QuantizeOptions): Promise<Checked<QuantizeReport>> {
  const { checkpoint, stored, encode } = source;
  const { format, fourOverSix = false, directory, signal } = options;
  const linears = [...stored.linears.values()];
  // Scales of activations are of use only if every linear has one.
  const activations =
    encode.length === 0 &&
    linears.length > 0 &&
    linears.every(({ input }) => input !== undefined) &&
    format !== "dat";
  const outputs = outputsOf(checkpoint, stored, encode, { format, activations, plainHead: source.plainHead });
  const layout = layoutOf(format, outputs, checkpoint);
  if (Either.isLeft(layout)) return layout;
  const written = outputs.tensors.reduce((sum, output) => sum + outputBytes(output), 0);
  const total = checkpoint.tensorBytes + written;
  let done = 0;
  const progress = (phase: "reading" | "writing") => (bytes: number) => {
    signal?.throwIfAborted();
    done += bytes;
    options.onProgress?.(phase, Math.min(done, total), total);
  };
  const measured = await measure(stored, encode, progress("reading"));
  if (Either.isLeft(measured)) return measured;
  done = checkpoint.tensorBytes;
  const temporary = `${directory}.${process.pid}-${randomBytes(4).toString("hex")}.tmp`;
  try {
    makeFolder(dirname(directory));
    await mkdir(temporary);
    const file = join(temporary, format === "dat" ? "model.dat" : "model.safetensors");
    const encoded = await writeOutputs(file, outputs.tensors, layout.right, {
      format,
      fourOverSix,
      amax: measured.right.amax,
      onBytes: progress("writing"),
    });
    await writeBeside(temporary, source, {
      format,
      activations,
      ...aboutHead(source),
      ...aboutConfig(source),
    });
    // A directory that has appeared meanwhile is not replaced, unless it is empty.
    await rename(temporary, directory);
    return Either.right(
      reportOf({ source: stored, encoded, measured: measured.right, outputs, written, activations }),
    );
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => {});
    throw error;
  }
}

/** Left: an element type that a `.dat` stream does not have. */
function layoutOf(
  format: Nvfp4Format,
  { tensors, originals }: Outputs,
  checkpoint: Checkpoint,
): Checked<FileLayout> {
  if (format !== "dat") {
    // What the source remembered was of its own names.
    const { [originalsKey]: _, ...metadata } = checkpoint.metadata;
    const remembered = JSON.stringify(Object.fromEntries(originals));
    return Either.right(
      safetensorsLayout(tensors, {
        format: "pt",
        ...metadata,
        ...(originals.size === 0 ? {} : { [originalsKey]: remembered }),
      }),
    );
  }
  const problems = tensors
    .filter(({ elementType }) => elementType === undefined)
    .map(({ name, dtype }) =>
      unsupportedProblem(checkpoint.source, "a .dat stream must have the element type", {
        given: dtype,
        path: name,
        remedy: "use another format",
      }),
    );
  return unlessProblems(problems, () =>
    datLayout(
      tensors.map(
        ({ name, elementType, shape }): DatTensor => ({ key: name, elementType: elementType!, shape }),
      ),
    ),
  );
}

function aboutHead({
  stored,
  encode,
  tied,
  headWasTable,
}: Source): Pick<WrittenConfig, "ownHead" | "headWasTable" | "embedding" | "plain"> {
  const encoded = new Set(encode.map(({ name }) => name));
  const isQuantized = (name: string) => encoded.has(name) || stored.linears.has(name);
  const hasOwn = isQuantized(headName);
  const embedding = isQuantized(tableName);
  const plain = [...stored.plain.values()]
    .filter((entry) => isLinear(entry) && !encoded.has(entry.name))
    .map(({ name }) => moduleOf(name));
  const head = moduleOf(headName);
  return {
    ownHead: tied && hasOwn,
    headWasTable: hasOwn && (tied || headWasTable) && !embedding,
    embedding,
    // A tied head has no tensor, but is a module of the model.
    plain: hasOwn || (tied && embedding) || plain.includes(head) ? plain : [...plain, head],
  };
}

const aboutConfig = ({ quantization }: Source): Pick<WrittenConfig, "kvCache"> => ({
  kvCache: quantization.find(({ kvCache }) => kvCache !== undefined)?.kvCache,
});

async function writeBeside(
  target: string,
  { directory, config }: Source,
  written: WrittenConfig,
): Promise<void> {
  await writeJson(join(target, "config.json"), configJson(config, written));
  if (written.format === "modelopt") {
    await writeJson(join(target, "hf_quant_config.json"), hfQuantConfigJson(written));
  }
  for (const name of companionFiles) {
    const file = join(directory, name);
    if (kindOfPath(file) === "file") await copyFile(file, join(target, basename(file)));
  }
}

async function writeJson(file: string, json: JsonObject): Promise<void> {
  const handle = await open(file, "wx");
  try {
    await handle.writeFile(`${JSON.stringify(json, undefined, 2)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
