/**
 * Random checkpoints made quickly, for machines that keep nothing: 8 GB in seconds where the folder is in memory.
 *
 * All matrices are cut from one block of random bf16 numbers (64 MB, normally distributed): each begins at an offset
 * that its name gives and goes around. The block's length is prime, so that rows of a matrix do not repeat one another
 * within 64 MB, which is more than the caches of present GPUs hold. Norms have random numbers of their own. Files are
 * safetensors in several shards with an index, written side by side. In NVFP4, codes and scales of the blocks' linears are
 * cut from blocks of random bytes in the same way.
 */
import { existsSync, mkdirSync, statfsSync, writeFileSync } from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { configJson, headerOf } from "../model/hugging-face.ts";
import { fnv1a, WeightStream } from "../model/random.ts";
import { elementsOf, type ModelShape, tensorsOf } from "../model/shapes.ts";
import {
  type CheckpointFormat,
  nvfp4Config,
  randomBytes,
  type StoredTensor,
  storedTensors,
} from "./stored-tensors.ts";

/** A prime just below 2 ** 25: two bytes each. */
const blockElements = 33554393;
const mostShards = 8;
const shardBytes = 128e6;
/** One write: large enough to be quick, small enough that shards take turns. */
const pieceElements = 1 << 23;

export interface RandomCheckpoint {
  readonly directory: string;
  readonly bytes: number;
  readonly seconds: number;
}

export const checkpointBytes = (shape: ModelShape, format: CheckpointFormat = "bf16"): number =>
  storedTensors(shape, format).reduce((sum, tensor) => sum + tensor.bytes, 0);

/** Memory where there is enough of it, else the folder for temporary files. */
export function usualFolder(bytes: number): string {
  return existsSync("/dev/shm") && freeBytes("/dev/shm") > bytes * 1.05 ? "/dev/shm" : tmpdir();
}

function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/** @throws Error where the folder has no room */
export async function makeCheckpoint(
  directory: string,
  shape: ModelShape,
  format: CheckpointFormat = "bf16",
): Promise<RandomCheckpoint> {
  const started = performance.now();
  const bytes = checkpointBytes(shape, format);
  mkdirSync(directory, { recursive: true });
  const free = freeBytes(directory);
  if (free < bytes + 64e6) {
    const gigabytes = (count: number) => `${(count / 1e9).toFixed(1)} GB`;
    throw new Error(
      `${directory} has ${gigabytes(free)} free, the weights take ${gigabytes(bytes)}; name another place in --folder`,
    );
  }
  const block = randomBlock(shape);
  const shards = shardsOf(storedTensors(shape, format));
  const names = shards.map((_, i) => shardName(i, shards.length));
  await Promise.all(shards.map((tensors, i) => writeShard(join(directory, names[i]!), tensors, block)));
  const json = (name: string, content: object) =>
    writeFileSync(join(directory, name), `${JSON.stringify(content, null, 2)}\n`);
  if (shards.length > 1) {
    json("model.safetensors.index.json", {
      metadata: { total_size: bytes },
      weight_map: Object.fromEntries(
        shards.flatMap((tensors, i) => tensors.map((tensor) => [tensor.name, names[i]!])),
      ),
    });
  }
  const [endOfText, endOfTurn] = [shape.vocab - 3, shape.vocab - 1];
  const config = configJson(shape, { endOfText, endOfTurn }, "bf16");
  json("config.json", format === "nvfp4" ? { ...config, ...nvfp4Config(shape.tied) } : config);
  return { directory, bytes, seconds: (performance.now() - started) / 1000 };
}

export const removeCheckpoint = (directory: string): Promise<void> =>
  rm(directory, { recursive: true, force: true });

const shardName = (index: number, count: number) => {
  const digits = (value: number) => String(value).padStart(5, "0");
  return count === 1 ? "model.safetensors" : `model-${digits(index + 1)}-of-${digits(count)}.safetensors`;
};

/** Neighbours together, about equal in bytes. */
function shardsOf(tensors: readonly StoredTensor[]): StoredTensor[][] {
  const total = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
  const count = Math.max(1, Math.min(mostShards, Math.ceil(total / shardBytes)));
  const shards: StoredTensor[][] = Array.from({ length: count }, () => []);
  let before = 0;
  for (const tensor of tensors) {
    shards[Math.min(count - 1, Math.floor((before / total) * count))]!.push(tensor);
    before += tensor.bytes;
  }
  return shards.filter((shard) => shard.length > 0);
}

const blocks = new Map<string, Uint16Array>();

function randomBlock(shape: ModelShape): Uint16Array {
  const length = Math.min(blockElements, Math.max(...tensorsOf(shape).map(elementsOf)));
  const key = `${length} ${shape.scale}`;
  const known = blocks.get(key);
  if (known !== undefined) return known;
  const block = new Uint16Array(length);
  new WeightStream("1", "block", { mean: 0, deviation: shape.scale }).fill(block);
  blocks.set(key, block);
  return block;
}

async function writeShard(path: string, tensors: readonly StoredTensor[], block: Uint16Array): Promise<void> {
  const file = await open(path, "w");
  try {
    await writeAll(file, headerOf(tensors));
    for (const tensor of tensors) {
      if (tensor.content === "norm") {
        const values = new Uint16Array(tensor.bytes / 2);
        new WeightStream("1", tensor.name, { mean: 1, deviation: 0.1 }).fill(values);
        await writeAll(file, new Uint8Array(values.buffer));
      } else if (tensor.content instanceof Uint8Array) await writeAll(file, tensor.content);
      else await writeMatrix(file, tensor, tensor.content === "matrix" ? block : randomBytes(tensor.content));
    }
  } finally {
    await file.close();
  }
}

async function writeMatrix(
  file: FileHandle,
  { name, bytes }: StoredTensor,
  block: Uint16Array,
): Promise<void> {
  let position = fnv1a(name) % block.length;
  for (let left = bytes / 2; left > 0; ) {
    const count = Math.min(left, block.length - position, pieceElements);
    await writeAll(file, new Uint8Array(block.buffer, position * 2, count * 2));
    position = (position + count) % block.length;
    left -= count;
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done);
    done += bytesWritten;
  }
}
