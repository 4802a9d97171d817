/** A directory with adapters as PEFT has them: `adapter_config.json` and `adapter_model.safetensors`. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { maxSize } from "@weft/dsl";
import type { FileWeight } from "@weft/runtime";
import * as Either from "fp-ts/lib/Either.js";
import type { Qwen3Config } from "../config/index.ts";
import { kindOfPath } from "../config/json-file.ts";
import { type Checked, refuse, unlessProblems, unsupportedProblem, WeftError } from "../config/problems.ts";
import { storedShape } from "../inference/stored-shape.ts";
import { writeDirectory } from "../training/checkpoint/whole-directory.ts";
import type { Trainable } from "../training/trainable.ts";
import { bindWeights } from "../weights/bind.ts";
import { openCheckpoint } from "../weights/checkpoint.ts";
import type { TensorEntry } from "../weights/header.ts";
import { readTensor } from "../weights/read.ts";
import { writeSafetensorsStream, writeWhole } from "../weights/write-stream.ts";
import { type Adapter, adapterOf, adapterParameters } from "./adapter.ts";
import { adapterConfigName, readAdapterConfig } from "./config-file.ts";

export const adapterFile = "adapter_model.safetensors";

/** PEFT wraps the model twice. */
const prefix = "base_model.model.";

/** The name of an adapter's parameter in PEFT's files. */
export const storedAdapterName = (parameter: string): string => `${prefix}${parameter}`;

/** And back: the parameter's name in a graph; any other name as it is. */
export const plainAdapterName = (stored: string): string =>
  stored.startsWith(prefix) ? stored.slice(prefix.length) : stored;

/** Shapes as PEFT stores them: A [rank, in], B [out, rank]. */
export function storedAdapterTensors(
  adapter: Adapter,
): readonly { readonly name: string; readonly shape: readonly number[] }[] {
  return adapterParameters(adapter).map(({ name, axes }) => ({
    name: storedAdapterName(name),
    shape: storedShape(axes),
  }));
}

export interface OpenedAdapter {
  readonly directory: string;
  readonly adapter: Adapter;
  /** By the parameter's name in a graph. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** Where a device finds them, by the same names. */
  readonly weights: Readonly<Record<string, FileWeight>>;
  /** A parameter's values, flat, row-major. */
  readonly values: (name: string) => Float32Array;
}

const dtypes = { F32: "f32", BF16: "bf16", F16: "f16" } as const;

/**
 * Reads the headers of an adapter. Which linears have one is told by the tensors.
 *
 * Left: files that are absent, features that are not supported, tensors that belong to no linear of the model, that are
 * missing or of another shape.
 */
export function openAdapter(directory: string, config: Qwen3Config): Checked<OpenedAdapter> {
  if (kindOfPath(directory) === "absent") {
    return refuse(directory, "must exist", {
      given: "no such directory",
      remedy: "check the path of the adapter",
    });
  }
  const scale = readAdapterConfig(directory);
  if (Either.isLeft(scale)) return scale;
  const file = join(directory, adapterFile);
  if (!existsSync(file)) {
    return refuse(directory, `must hold ${adapterFile}`, {
      given: existsSync(join(directory, "adapter_model.bin")) ? "adapter_model.bin" : "none",
      remedy: "save the adapter as safetensors",
    });
  }
  const checkpoint = openCheckpoint(file);
  if (Either.isLeft(checkpoint)) return checkpoint;
  const names = [...checkpoint.right.tensors.keys()];
  const linears = new Set<string>();
  const foreign = names.flatMap((name) => {
    const path = /^base_model\.model\.(.+)\.lora_[AB]\.weight$/.exec(name)?.[1];
    if (path !== undefined) linears.add(path);
    const requirement = "must be the A or B of a linear, PATH.lora_A.weight or PATH.lora_B.weight";
    return path === undefined ? [unsupportedProblem(file, requirement, { path: name })] : [];
  });
  const known = unlessProblems(foreign, () => undefined);
  if (Either.isLeft(known)) return known;
  const found = attempt(() => adapterOf(config, { ...scale.right, targets: [...linears] }));
  if (Either.isLeft(found)) return found;
  const required = storedAdapterTensors(found.right).map((one) => ({
    ...one,
    dtypes: ["F32", "BF16", "F16"] as const,
  }));
  const bound = bindWeights(required, checkpoint.right);
  if (Either.isLeft(bound)) return bound;
  const parameters = adapterParameters(found.right);
  const entryOf = (name: string) => bound.right.tensors.get(storedAdapterName(name))!;
  const tensors = new Map(parameters.map(({ name }) => [name, entryOf(name)]));
  const weights = Object.fromEntries(
    parameters.map(({ name, axes }): [string, FileWeight] => {
      const { file: path, begin, end, dtype } = entryOf(name);
      const shape = axes.map(({ size }) => maxSize(size));
      return [
        name,
        {
          kind: "file",
          path,
          offset: begin,
          bytes: end - begin,
          dtype: dtypes[dtype as keyof typeof dtypes],
          shape,
        },
      ];
    }),
  );
  return Either.right({
    directory,
    adapter: found.right,
    tensors,
    weights,
    values: (name) => readTensor(entryOf(name)),
  });
}

export interface WriteAdapterOptions {
  /** Made where it is absent; files of the same names are replaced. */
  readonly directory: string;
  /** A model under training whose parameters are those of an adapter. */
  readonly model: Pick<Trainable, "parameters" | "readState" | "adapterConfig">;
}

/** Left: the disk refuses, or the model has no adapter. */
export async function writeAdapter({ directory, model }: WriteAdapterOptions): Promise<Checked<string>> {
  const { adapterConfig } = model;
  if (adapterConfig === undefined)
    return refuse(directory, "only a model with adapters can be written as one", {
      remedy: "train with lora, or export the whole model",
    });
  return writeDirectory(directory, "adapter", async (folder) => {
    const tensors = model.parameters().map((one) => ({
      ...one,
      pieces: async function* () {
        yield await model.readState(one.name);
      },
    }));
    const written = await writeSafetensorsStream(join(folder, adapterFile), tensors);
    if (Either.isLeft(written)) return written;
    const text = Buffer.from(adapterConfig);
    const told = await writeWhole(join(folder, adapterConfigName), (put) => put(text));
    return Either.map(() => undefined)(told);
  });
}

function attempt<A>(work: () => A): Checked<A> {
  try {
    return Either.right(work());
  } catch (error) {
    if (error instanceof WeftError) return Either.left(error.problems);
    throw error;
  }
}
