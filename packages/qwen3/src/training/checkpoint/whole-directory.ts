/** A directory of a model that is written under another name first, so that it is never half of one and half of another. */
import { existsSync, readdirSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { makeFolder } from "@weft/runtime";
import * as Either from "fp-ts/lib/Either.js";
import {
  type Checked,
  messageOf,
  type Problem,
  type Problems,
  refuse,
  WeftError,
} from "../../config/problems.ts";
import { removeLeftovers, temporaryName } from "./temporary.ts";

export const quantizationFile = "hf_quant_config.json";

/**
 * Writes a directory whole or not at all.
 * @param what of adapters nothing that lies there speaks, of a model its configuration and other weights do
 * @param fill writes all files into the folder that it is given
 *
 * Left: what `fill` refuses, weights of another model in the directory, a disk that refuses; what was there is as it was then.
 * Right: the directory. Files of the same names have been replaced, and what spoke of the former weights is gone.
 */
export async function writeDirectory(
  directory: string,
  what: "model" | "adapter",
  fill: (folder: string) => Promise<Checked<void>>,
): Promise<Checked<string>> {
  const target = resolve(directory);
  // What is there may be a disk of its own, which nothing beside it can be moved onto.
  const exists = existsSync(target);
  const folder = exists ? target : dirname(target);
  const temporary = join(folder, temporaryName(basename(target)));
  try {
    // Tells a file from a folder.
    if (exists) makeFolder(target);
    const others = what === "model" && exists ? otherWeights(target) : [];
    if (others.length > 0) {
      return refuse(directory, "must not hold weights of another model", {
        given: others.join(", "),
        remedy: "give another directory, or remove them",
      });
    }
    makeFolder(folder);
    await removeLeftovers(folder, basename(target));
    await mkdir(temporary);
    const filled = await fill(temporary);
    if (Either.isLeft(filled)) return Either.left(renamed(filled.left, temporary, directory));
    if (exists) await replaceFiles(temporary, target, what);
    else await rename(temporary, target);
    return Either.right(directory);
  } catch (error) {
    if (error instanceof WeftError) return Either.left(renamed(error.problems, temporary, directory));
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    return refuse(directory, "must be writable", {
      given: messageOf(error).replaceAll(temporary, directory),
      remedy: "check the path, its permissions and the free space",
    });
  } finally {
    await rm(temporary, { recursive: true, force: true }).catch(() => {});
  }
}

/** Problems name the file that was to be, not the one that it was written under. */
function renamed(problems: Problems, temporary: string, directory: string): Problems {
  const [first, ...rest] = problems;
  const named = (problem: Problem): Problem => ({
    ...problem,
    source: problem.source.replace(temporary, directory),
    ...(problem.given === undefined ? {} : { given: problem.given.replaceAll(temporary, directory) }),
  });
  return [named(first), ...rest.map(named)];
}

/** Shards with their index, or a stream: readers would find them beside what is written. */
function otherWeights(target: string): readonly string[] {
  return readdirSync(target).filter(
    (name) =>
      /\.(safetensors(\.index\.json)?|dat)$/.test(name) && !/^(adapter_)?model\.safetensors$/.test(name),
  );
}

async function replaceFiles(from: string, target: string, what: "model" | "adapter"): Promise<void> {
  const names = readdirSync(from);
  if (what === "model" && !names.includes(quantizationFile))
    await rm(join(target, quantizationFile), { force: true });
  for (const name of names) await rename(join(from, name), join(target, name));
}
