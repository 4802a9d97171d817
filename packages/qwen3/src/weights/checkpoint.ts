/** A checkpoint directory's tensors: one safetensors file, shards with an index, or one `.dat` stream. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import * as Either from "fp-ts/lib/Either.js";
import { asJsonObject, kindOfPath, namesIn, parseJsonObject, readTextFile } from "../config/json-file.ts";
import { jsonMembers } from "../config/json-text.ts";
import {
  type Checked,
  type Problem,
  type Problems,
  refuse,
  showGiven,
  unlessProblems,
  userProblem,
} from "../config/problems.ts";
import { type DatFile, openDat } from "./dat/open.ts";
import type { TensorEntry } from "./header.ts";
import { openSafetensors } from "./safetensors.ts";

export interface Checkpoint {
  /** How the files are written. */
  readonly kind: "safetensors" | "dat";
  /** The directory, or the single file, that was opened. */
  readonly source: string;
  readonly files: readonly string[];
  /** By full parameter name, in the order of the files. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** Sum over all tensors. */
  readonly tensorBytes: number;
  /** The `__metadata__` of all files together; a `.dat` stream has none. */
  readonly metadata: Readonly<Record<string, string>>;
}

const singleName = "model.safetensors";
const indexName = "model.safetensors.index.json";
const refetch = "fetch the checkpoint again; all its files must be there";

/**
 * Opens `model.safetensors`, or the shards that `model.safetensors.index.json` lists, of a directory, or its `.dat` file
 * where it has neither; `path` may also be one file. Only headers are read.
 *
 * Left: no weights, several `.dat` files, a shard that is absent or damaged, an index that names a tensor its shard does not hold, a
 * tensor in two shards; all of these together.
 */
export function openCheckpoint(path: string): Either.Either<Problems, Checkpoint> {
  const kind = kindOfPath(path);
  if (kind === "absent") {
    return refuse(path, "must exist", { given: "no such directory", remedy: "check the path of the model" });
  }
  if (kind === "file") return isDat(path) ? openStream(path, path) : openFiles(path, [path], undefined);
  const single = join(path, singleName);
  if (existsSync(single)) return openFiles(path, [single], undefined);
  const index = join(path, indexName);
  if (existsSync(index)) return openIndexed(path, index);
  const streams = namesIn(path).filter(isDat);
  if (streams.length === 1) return openStream(path, join(path, streams[0]!));
  return noWeights(path);
}

const isDat = (name: string) => name.endsWith(".dat");

function openStream(source: string, file: string): Checked<Checkpoint> {
  return Either.map(
    ({ entries }: DatFile): Checkpoint => ({
      kind: "dat",
      source,
      files: [file],
      tensors: new Map(entries.map((entry) => [entry.name, entry])),
      tensorBytes: entries.reduce((sum, { begin, end }) => sum + end - begin, 0),
      metadata: {},
    }),
  )(openDat(file));
}

function noWeights(directory: string): Checked<never> {
  const names = namesIn(directory).filter((name) => /\.(safetensors|dat|bin|gguf|pt|pth)$/.test(name));
  const others = names.filter((name) => name.endsWith(".safetensors"));
  const streams = names.filter(isDat);
  if (streams.length > 1) {
    return refuse(directory, "must hold one .dat file", {
      given: streams.slice(0, 5).join(", "),
      remedy: "give the path of the one that is meant",
    });
  }
  return refuse(directory, `must hold ${singleName}, ${indexName} or a .dat file`, {
    given: names.length === 0 ? "none of them" : names.slice(0, 5).join(", "),
    remedy:
      others.length === 1
        ? `rename ${others[0]} to ${singleName}, or give its path`
        : others.length > 1
          ? `fetch ${indexName}, which says which shard holds which tensor`
          : names.length > 0
            ? "convert the checkpoint to safetensors"
            : refetch,
  });
}

function openIndexed(directory: string, index: string): Checked<Checkpoint> {
  const text = readTextFile(index, refetch);
  if (Either.isLeft(text)) return text;
  const object = parseJsonObject(text.right, index, refetch);
  if (Either.isLeft(object)) return object;
  const map = asJsonObject(object.right.weight_map, index, refetch);
  if (Either.isLeft(map)) {
    return refuse(index, "weight_map must be an object from tensor names to file names", {
      given: showGiven(object.right.weight_map),
      remedy: refetch,
    });
  }
  const problems: Problem[] = duplicateListings(text.right, index);
  const listed = new Map<string, string>();
  for (const [name, shard] of Object.entries(map.right)) {
    // A shard is a file beside the index; a path that leaves the directory is no business of a checkpoint.
    if (typeof shard === "string" && /^[^/\\\0]+\.safetensors$/.test(shard)) listed.set(name, shard);
    else {
      problems.push(
        userProblem(index, "weight_map must name a .safetensors file of the same directory", {
          given: showGiven(shard),
          path: name,
          remedy: refetch,
        }),
      );
    }
  }
  if (listed.size === 0 && problems.length === 0) {
    problems.push(
      userProblem(index, "weight_map must list tensors", { given: "an empty object", remedy: refetch }),
    );
  }
  const broken = unlessProblems(problems, () => undefined);
  if (Either.isLeft(broken)) return broken;
  const shards = [...new Set(listed.values())].sort();
  return openFiles(
    directory,
    shards.map((shard) => join(directory, shard)),
    { file: index, listed: new Map([...listed].map(([name, shard]) => [name, join(directory, shard)])) },
  );
}

function duplicateListings(text: string, index: string): Problem[] {
  const problems: Problem[] = [];
  for (const { key, begin } of jsonMembers(text)) {
    if (key !== "weight_map") continue;
    const names = new Set<string>();
    for (const member of jsonMembers(text, begin)) {
      if (names.has(member.key)) {
        problems.push(
          userProblem(index, "each tensor must be listed once", {
            given: "two entries",
            path: member.key,
            remedy: refetch,
          }),
        );
      }
      names.add(member.key);
    }
  }
  return problems;
}

interface Index {
  readonly file: string;
  /** Tensor name to the path of its shard. */
  readonly listed: ReadonlyMap<string, string>;
}

function openFiles(source: string, files: readonly string[], index: Index | undefined): Checked<Checkpoint> {
  const problems: Problem[] = [];
  const tensors = new Map<string, TensorEntry>();
  const opened = new Set<string>();
  let tensorBytes = 0;
  const metadata: Record<string, string> = {};
  for (const file of files) {
    const shard = openSafetensors(file);
    if (Either.isLeft(shard)) {
      problems.push(...shard.left);
      continue;
    }
    opened.add(file);
    Object.assign(metadata, shard.right.metadata);
    for (const entry of shard.right.entries) {
      const other = tensors.get(entry.name);
      if (other !== undefined) {
        problems.push(
          userProblem(index?.file ?? source, "a tensor must be in one shard only", {
            given: `${other.file} and ${file}`,
            path: entry.name,
            remedy: refetch,
          }),
        );
        continue;
      }
      tensors.set(entry.name, entry);
      tensorBytes += entry.end - entry.begin;
    }
  }
  for (const [name, file] of index?.listed ?? []) {
    // What an unreadable shard would have held is not worth a line each.
    if (!opened.has(file) || tensors.get(name)?.file === file) continue;
    problems.push(
      userProblem(index!.file, "a listed tensor must be in its shard", {
        given: tensors.has(name)
          ? `it is in ${tensors.get(name)!.file}, not in ${file}`
          : `${file} does not hold it`,
        path: name,
        remedy: refetch,
      }),
    );
  }
  return unlessProblems(problems, () => ({
    kind: "safetensors",
    source,
    files,
    tensors,
    tensorBytes,
    metadata,
  }));
}
