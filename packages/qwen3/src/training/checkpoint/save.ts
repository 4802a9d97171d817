/**
 * Saves a checkpoint so that a kill at any moment, or a full disk, costs nothing but itself: everything is written to
 * a directory with a temporary name, forced to the disk, and renamed at the end. Older ones go only after that.
 */
import { existsSync } from "node:fs";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { makeFolder } from "@weft/runtime";
import * as Either from "fp-ts/lib/Either.js";
import { adapterConfigName } from "../../adapter/config-file.ts";
import { adapterFile } from "../../adapter/files.ts";
import { type Checked, messageOf, refuse, WeftError } from "../../config/problems.ts";
import { type WrittenFile, writeSafetensorsStream, writeWhole } from "../../weights/write-stream.ts";
import type { StateTensor, Trainable } from "../trainable.ts";
import { configBeside } from "./export.ts";
import { manifestName, manifestText, type RunIdentity, type TrainerState } from "./manifest.ts";
import { checkpointsIn, quickCheck } from "./names.ts";
import { removeLeftovers, temporaryName } from "./temporary.ts";

export interface SaveOptions {
  /** Directory of all checkpoints of the run; made where it is absent. */
  readonly folder: string;
  /** Name of the new one below `folder`. */
  readonly name: string;
  readonly model: Pick<
    Trainable,
    "parameters" | "optimizerStates" | "readState" | "adapterConfig" | "quantization"
  >;
  readonly state: TrainerState;
  readonly identity: RunIdentity;
  /** Files that are copied beside the weights: config.json, tokenizer.json and the like. */
  readonly copy?: readonly string[];
  /** Of the checkpoints in `folder` so many of the newest are kept; undefined: all. */
  readonly keep?: number;
}

export const modelFile = "model.safetensors";
export const optimizerFile = "optimizer.safetensors";

/** Adapters stand in files of PEFT's names, so that a checkpoint can be used as an adapter. */
export const weightsFileOf = ({ adapterConfig }: Pick<Trainable, "adapterConfig">): string =>
  adapterConfig === undefined ? modelFile : adapterFile;

/** Left: the disk refuses; nothing of what was there before has changed then. Right: the new directory. */
export async function saveCheckpoint(options: SaveOptions): Promise<Checked<string>> {
  const { folder, name } = options;
  const temporary = join(folder, temporaryName(name));
  const target = join(folder, name);
  try {
    makeFolder(folder);
    await removeLeftovers(folder);
    await mkdir(temporary);
    await fill(temporary, options);
    await syncDirectory(temporary);
    const replaced = join(folder, temporaryName(name));
    if (existsSync(target)) await rename(target, replaced);
    await rename(temporary, target);
    await syncDirectory(folder);
    await rm(replaced, { recursive: true, force: true });
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => {});
    const system = (error as NodeJS.ErrnoException).syscall !== undefined;
    if (!system && !(error instanceof WeftError)) throw error;
    const given = error instanceof WeftError ? (error.problems[0].given ?? error.message) : messageOf(error);
    return refuse(target, "the checkpoint must be writable", {
      given: given.replaceAll(`${temporary}/`, ""),
      remedy: "check the free space and permissions; earlier checkpoints are as they were",
    });
  }
  if (options.keep !== undefined) await removeOld(folder, options.keep, name).catch(() => {});
  return Either.right(target);
}

async function fill(directory: string, { model, state, identity, copy = [] }: SaveOptions): Promise<void> {
  const files: Record<string, WrittenFile> = {};
  const keep = async (name: string, written: Promise<Checked<WrittenFile>>) => {
    const checked = await written;
    if (Either.isLeft(checked)) throw new WeftError(checked.left);
    files[name] = checked.right;
  };
  const tensors = (list: readonly StateTensor[]) =>
    list.map((tensor) => ({
      ...tensor,
      pieces: async function* () {
        yield await model.readState(tensor.name);
      },
    }));
  const write = (name: string, list: readonly StateTensor[]) =>
    keep(name, writeSafetensorsStream(join(directory, name), tensors(list)));
  await write(weightsFileOf(model), model.parameters());
  await write(optimizerFile, model.optimizerStates());
  if (model.adapterConfig !== undefined) {
    const text = Buffer.from(model.adapterConfig);
    await keep(
      adapterConfigName,
      writeWhole(join(directory, adapterConfigName), (put) => put(text)),
    );
  }
  for (const source of copy) {
    const name = basename(source);
    const isOfWeights = name === "config.json" && model.adapterConfig === undefined;
    const checked = isOfWeights ? await configBeside(source, model) : Either.right(await readFile(source));
    if (Either.isLeft(checked)) throw new WeftError(checked.left);
    const bytes = checked.right;
    await keep(
      name,
      writeWhole(join(directory, name), (put) => put(bytes)),
    );
  }
  // Last: where it is, everything else is.
  const text = Buffer.from(manifestText(state, identity, files));
  const manifest = await writeWhole(join(directory, manifestName), (put) => put(text));
  if (Either.isLeft(manifest)) throw new WeftError(manifest.left);
}

/** A rename is on the disk when its directory is. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Renamed before it is removed: half a checkpoint must never look like one. Damaged ones do not count. */
async function removeOld(folder: string, keep: number, newest: string): Promise<void> {
  const sound = checkpointsIn(folder).filter((name) => name === newest || quickCheck(join(folder, name)));
  for (const name of sound.slice(Math.max(1, keep))) {
    if (name === newest) continue;
    const away = join(folder, temporaryName(name));
    await rename(join(folder, name), away);
    await rm(away, { recursive: true, force: true });
  }
}
