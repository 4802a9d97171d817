/** Writes a checkpoint as an ONNX model: one file, or a small one with the weights in another beside it. */
import { rm, stat } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import type { Weight } from "@weft/runtime";
import * as Either from "fp-ts/lib/Either.js";
import { type Checked, refuse, unlessProblems, unsupportedProblem, userProblem } from "../config/problems.ts";
import { readCheckpointWeights } from "../inference/prepare.ts";
import { partMemory, readWeight, weightParts } from "../training/read-weight.ts";
import { writeWhole } from "../weights/write-stream.ts";
import type { WeightPlace } from "./encode.ts";
import { qwen3Onnx } from "./graph.ts";

export interface OnnxExportOptions {
  /** The directory of the checkpoint. */
  readonly directory: string;
  /** Where the model goes; a file of this name is replaced. */
  readonly file: string;
  /** Weights of more bytes than this go to `FILE.data`, as one message of protobuf has less than 2 GiB. */
  readonly largestInline?: number;
}

export interface OnnxExport {
  readonly opset: number;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: number;
  /** What was written, with its size in bytes. */
  readonly files: readonly { readonly file: string; readonly bytes: number }[];
}

/** Room for the graph beside the weights. */
const defaultLargestInline = 2 ** 31 - 2 ** 26;

/** Readers map the file, and a map begins at a page. */
const pageBytes = 4096;

/**
 * Left: a directory that holds no checkpoint, quantised weights, ops that standard ONNX has no operator for, a place that
 * cannot be written. Whatever was there before is still there then.
 */
export async function exportOnnx(options: OnnxExportOptions): Promise<Checked<OnnxExport>> {
  const { directory, file, largestInline = defaultLargestInline } = options;
  const read = readCheckpointWeights(directory);
  if (Either.isLeft(read)) return read;
  const { config, weights } = read.right;
  const place = await checkPlace(file);
  if (Either.isLeft(place)) return place;
  const plain = refuseQuantized(weights);
  if (Either.isLeft(plain)) return plain;
  const made = qwen3Onnx(config, (name) => weights[name]?.dtype ?? "f32");
  if (Either.isLeft(made)) return made;
  const graph = made.right;
  const names = graph.weights.map(({ name }) => name);
  const total = names.reduce((sum, name) => sum + bytesOfWeight(weights[name]!), 0);
  const dataFile = `${file}.data`;
  const isExternal = total > largestInline;
  const offsets = isExternal ? layOut(names, weights) : new Map<string, number>();
  const placeOf = (name: string): WeightPlace => {
    const weight = weights[name]!;
    if (isExternal) {
      const bytes = bytesOfWeight(weight);
      return { kind: "external", file: basename(dataFile), offset: offsets.get(name)!, bytes };
    }
    const values = readWeight(weight);
    return { kind: "inline", data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) };
  };
  const { encodeOnnx } = await import("./encode.ts");
  const files: { readonly file: string; readonly bytes: number }[] = [];
  if (isExternal) {
    const written = await writeData(dataFile, names, weights, offsets);
    if (Either.isLeft(written)) return written;
    files.push({ file: dataFile, bytes: written.right.bytes });
  }
  const properties = { model_type: "qwen3", max_position_embeddings: String(config.maxPositions) };
  const written = await writeWhole(file, (write) => write(encodeOnnx(graph, placeOf, properties)));
  if (Either.isLeft(written)) {
    if (isExternal) await rm(dataFile, { force: true });
    return written;
  }
  return Either.right({
    opset: graph.opset,
    inputs: graph.inputs.map(({ name }) => name),
    outputs: graph.outputs.map(({ name }) => name),
    nodes: graph.nodes.length,
    files: [{ file, bytes: written.right.bytes }, ...files],
  });
}

const bytesOfWeight = (weight: Weight): number =>
  weight.kind === "file" ? weight.bytes : weight.data.byteLength;

const isQuantized = ({ dtype }: Weight) => dtype === "nvfp4" || dtype === "f8e4m3";

function refuseQuantized(weights: Readonly<Record<string, Weight>>): Checked<void> {
  const quantized = Object.keys(weights).filter((name) => isQuantized(weights[name]!));
  const problems = quantized.slice(0, 1).map((path) =>
    unsupportedProblem("onnx", "standard ONNX operators do not read quantised weights", {
      given: `${quantized.length} weights in NVFP4 or FP8`,
      path,
      remedy: "export the checkpoint that it was quantised from",
    }),
  );
  return unlessProblems(problems, () => undefined);
}

/** That the folder is there and the file is no folder, before a model is read for it. */
async function checkPlace(file: string): Promise<Checked<void>> {
  const kind = (path: string) =>
    stat(path).then(
      (found) => (found.isDirectory() ? "folder" : "file"),
      () => undefined,
    );
  const folder = dirname(resolve(file));
  if ((await kind(folder)) !== "folder")
    return refuse(file, "must lie in a folder that exists", {
      given: folder,
      remedy: "make the folder first",
    });
  if ((await kind(file)) === "folder")
    return Either.left([
      userProblem(file, "must be a file", { given: "a folder", remedy: "give the file's name" }),
    ]);
  return Either.right(undefined);
}

function layOut(
  names: readonly string[],
  weights: Readonly<Record<string, Weight>>,
): ReadonlyMap<string, number> {
  let offset = 0;
  return new Map(
    names.map((name) => {
      const at = offset;
      offset = Math.ceil((at + bytesOfWeight(weights[name]!)) / pageBytes) * pageBytes;
      return [name, at];
    }),
  );
}

function writeData(
  file: string,
  names: readonly string[],
  weights: Readonly<Record<string, Weight>>,
  offsets: ReadonlyMap<string, number>,
): ReturnType<typeof writeWhole> {
  const memory = partMemory();
  return writeWhole(file, async (write) => {
    let at = 0;
    for (const name of names) {
      const offset = offsets.get(name)!;
      if (offset > at) await write(new Uint8Array(offset - at));
      at = offset;
      for (const { values } of weightParts(weights[name]!, memory)) {
        await write(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
        at += values.byteLength;
      }
    }
  });
}
