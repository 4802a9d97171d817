/** Names of checkpoint directories: `step-00000120`, so that they sort by age. */
import { statSync } from "node:fs";
import { join } from "node:path";
import * as Either from "fp-ts/lib/Either.js";
import { namesIn } from "../../config/json-file.ts";
import { readManifest } from "./manifest.ts";

export const checkpointName = (step: number): string => `step-${String(step).padStart(8, "0")}`;

/** The step of a directory's name; undefined for any other name. */
export function stepOfName(name: string): number | undefined {
  const digits = /^step-(\d{8,15})$/.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Names of all checkpoints of a folder, finished or damaged, the newest first. */
export function checkpointsIn(folder: string): readonly string[] {
  return namesIn(folder)
    .filter((name) => stepOfName(name) !== undefined)
    .sort((a, b) => stepOfName(b)! - stepOfName(a)!);
}

/** Whether everything is there in its size; hashes are not looked at. */
export function quickCheck(directory: string): boolean {
  const manifest = readManifest(directory);
  return (
    Either.isRight(manifest) &&
    Object.entries(manifest.right.files).every(([name, { bytes }]) => {
      try {
        return statSync(join(directory, name)).size === bytes;
      } catch {
        return false;
      }
    })
  );
}
