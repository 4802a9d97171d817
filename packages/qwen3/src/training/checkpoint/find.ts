/** Finds the newest checkpoint that is whole. */
import { createHash } from "node:crypto";
import { createReadStream, statSync } from "node:fs";
import { join } from "node:path";
import * as Either from "fp-ts/lib/Either.js";
import {
  type Checked,
  messageOf,
  type Problem,
  type Problems,
  unlessProblems,
  userProblem,
} from "../../config/problems.ts";
import { type Manifest, readManifest } from "./manifest.ts";
import { checkpointsIn } from "./names.ts";

export interface FoundCheckpoint {
  readonly directory: string;
  readonly manifest: Manifest;
}

export interface Latest {
  /** Undefined where there is none, or none that is whole. */
  readonly found: FoundCheckpoint | undefined;
  /** Newer ones that are damaged or unfinished, with what is wrong, the newest first. */
  readonly refused: readonly { readonly directory: string; readonly problems: Problems }[];
}

/** The newest whole checkpoint of a folder. Every file of it is read and compared with its hash. */
export async function latestCheckpoint(folder: string): Promise<Latest> {
  const refused: { readonly directory: string; readonly problems: Problems }[] = [];
  for (const name of checkpointsIn(folder)) {
    const directory = join(folder, name);
    const opened = await openTrainingCheckpoint(directory);
    if (Either.isRight(opened)) return { found: opened.right, refused };
    refused.push({ directory, problems: opened.left });
  }
  return { found: undefined, refused };
}

/** Left: no manifest, or a file that is absent, of another size or of other content; all of these. */
export async function openTrainingCheckpoint(directory: string): Promise<Checked<FoundCheckpoint>> {
  const manifest = readManifest(directory);
  if (Either.isLeft(manifest)) return manifest;
  const problems: Problem[] = [];
  for (const [name, record] of Object.entries(manifest.right.files)) {
    const file = join(directory, name);
    const given = await differenceOf(file, record);
    if (given === undefined) continue;
    problems.push(
      userProblem(file, `must be as it was saved, ${record.bytes} bytes`, {
        given,
        remedy: "use another checkpoint",
      }),
    );
  }
  return unlessProblems(problems, () => ({ directory, manifest: manifest.right }));
}

async function differenceOf(
  file: string,
  { bytes, sha256 }: Manifest["files"][string],
): Promise<string | undefined> {
  try {
    const { size } = statSync(file);
    if (size !== bytes) return `${size} bytes`;
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(file, { highWaterMark: 4 * 1024 * 1024 }))
      hash.update(chunk as Buffer);
    return hash.digest("hex") === sha256 ? undefined : "other bytes than were written";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT" ? "no such file" : messageOf(error);
  }
}
