/** `trainer.json`: what a checkpoint holds besides tensors, checked when it is read. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as Either from "fp-ts/lib/Either.js";
import { parseJsonObject, readTextFile } from "../../config/json-file.ts";
import {
  type Checked,
  type Problem,
  refuse,
  showGiven,
  unlessProblems,
  userProblem,
} from "../../config/problems.ts";
import type { DataPosition } from "../data/batches.ts";
import type { JsonValue } from "../trainable.ts";

export const manifestName = "trainer.json";
const format = "weft-training-checkpoint";
export const manifestVersion = 1;

/** What the run is made of. A checkpoint is resumed only where all of it is the same. */
export type RunIdentity = { readonly [key: string]: JsonValue };

export interface TrainerState {
  /** Updates done. */
  readonly step: number;
  /** Targets learnt from so far. */
  readonly targets: number;
  /** Steps whose loss or gradient was not finite. */
  readonly skippedSteps: number;
  /** Where the next batch begins. */
  readonly data: DataPosition;
  /** Every random number is a function of this and the step: there is no other state of a generator. */
  readonly seed: number;
}

export interface FileRecord {
  readonly bytes: number;
  readonly sha256: string;
}

export interface Manifest {
  readonly format: string;
  readonly version: number;
  /** Of the package that wrote it. */
  readonly weft: string;
  readonly state: TrainerState;
  readonly identity: RunIdentity;
  readonly files: Readonly<Record<string, FileRecord>>;
}

export function weftVersion(): string {
  const text = readFileSync(new URL("../../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

export function manifestText(state: TrainerState, identity: RunIdentity, files: Manifest["files"]): string {
  const manifest: Manifest = {
    format,
    version: manifestVersion,
    weft: weftVersion(),
    state,
    identity,
    files,
  };
  return `${JSON.stringify(manifest, undefined, 2)}\n`;
}

const damaged = "use another checkpoint";
const isNewer = (version: unknown) => typeof version === "number" && version > manifestVersion;
const isCount = (value: unknown) => typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Whether a newer Weft wrote it: then it is sound, for all that can be told, and must not be passed over and replaced. */
export function isOfNewerVersion(directory: string): boolean {
  const file = join(directory, manifestName);
  const object = Either.chain((text: string) => parseJsonObject(text, file, damaged))(
    readTextFile(file, damaged),
  );
  return Either.isRight(object) && object.right.format === format && isNewer(object.right.version);
}

/** Left: absent, no JSON, of another format, of a newer version, or with a value that cannot be; all of these named. */
export function readManifest(directory: string): Checked<Manifest> {
  const file = join(directory, manifestName);
  const text = readTextFile(file, "it was not finished: use another checkpoint");
  if (Either.isLeft(text)) return text;
  const object = parseJsonObject(text.right, file, damaged);
  if (Either.isLeft(object)) return object;
  const { format: given, version, weft, state, identity, files } = object.right;
  if (given !== format) {
    return refuse(file, `must be the state of a training run (${format})`, {
      given: showGiven(given),
      remedy: damaged,
    });
  }
  if (version !== manifestVersion) {
    const newer = isNewer(version);
    return refuse(file, `must be of version ${manifestVersion}`, {
      given: newer ? `version ${version}, written by Weft ${showGiven(weft)}` : showGiven(version),
      remedy: newer
        ? "resume with that Weft or a newer one, or remove this checkpoint to go on from the one before it"
        : damaged,
    });
  }
  const problems: Problem[] = [];
  const check = (holds: boolean, key: string, requirement: string, value: unknown) => {
    if (holds) return;
    problems.push(
      userProblem(file, `${key} must be ${requirement}`, { given: showGiven(value), remedy: damaged }),
    );
  };
  const counts = isObject(state) ? state : {};
  for (const key of ["step", "targets", "skippedSteps", "seed"]) {
    check(isCount(counts[key]), `state.${key}`, "an integer of at least 0", counts[key]);
  }
  const data = isObject(counts.data) ? counts.data : {};
  for (const key of ["epoch", "place", "offset"]) {
    check(isCount(data[key]), `state.data.${key}`, "an integer of at least 0", data[key]);
  }
  check(isObject(identity), "identity", "an object", identity);
  const records = isObject(files) ? Object.entries(files) : [];
  check(records.length > 0, "files", "an object with at least one file", files);
  for (const [name, record] of records) {
    const sound =
      /^[^/\\\0]+$/.test(name) &&
      isObject(record) &&
      isCount(record.bytes) &&
      typeof record.sha256 === "string" &&
      /^[\da-f]{64}$/.test(record.sha256);
    check(sound, `files.${name}`, "the size and hash of a file in the same directory", record);
  }
  return unlessProblems(problems, () => object.right as unknown as Manifest);
}
