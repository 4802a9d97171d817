/**
 * Qwen3 on a GPU with random weights of the released shapes, beside PyTorch and transformers where they are installed.
 *
 *     npm run bench:gpu -- [--models 0.6b,1.7b,4b,4b-nvfp4,8b] [--contexts 128,1024,8192] [--prefill 512,1024,4096] [--minutes 30]
 *         [--tokens 200] [--overlap] [--matmul auto|own] [--no-peer] [--folder DIR] [--out DIR] [--copy-gbs N] [--matmul-tflops N] [--device cuda-sim]
 *
 * docs/gpu.md says what is measured and what it needs.
 */
import { join } from "node:path";
import { WeftError } from "@weft/dsl";
import type { CudaDevice } from "@weft/runtime-cuda";
import { shapes } from "../model/shapes.ts";
import { openByName } from "../support/gpu-device.ts";
import { digits } from "../support/statistics.ts";
import { checkpointBytes, makeCheckpoint, removeCheckpoint, usualFolder } from "./checkpoint.ts";
import { measureOurs, type OursOptions } from "./ours.ts";
import { measureLimits, measurePeer } from "./peers.ts";
import { showAll } from "./report.ts";
import { writeGpuResults } from "./results.ts";
import type { Measured } from "./rows.ts";
import { measureTraining } from "./training.ts";
import {
  type BenchOptions,
  isCoded,
  type ModelName,
  parseOptions,
  shapeNameOf,
  type Visit,
  visitsOf,
} from "./work.ts";

const say = (text: string) => console.error(`[bench] ${text}`);
const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

function optionsOrEnd(): BenchOptions {
  try {
    return parseOptions(process.argv.slice(2));
  } catch (error) {
    say(messageOf(error));
    process.exit(2);
  }
}

const open = () =>
  openByName(options.device, {
    overlapLaunches: options.overlap,
    ...(options.matmul === undefined ? {} : { matmulLibrary: options.matmul }),
  });

async function openOrEnd(): Promise<CudaDevice> {
  try {
    return await open();
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    say(`no GPU to measure on, and nothing was measured:\n${error.message}`);
    process.exit(1);
  }
}

const options = optionsOrEnd();
const isReal = options.device === "cuda";
const deadline = performance.now() + options.minutes * 60_000;
const secondsLeft = () => (deadline - performance.now()) / 1000;
const isOver = () => secondsLeft() <= 0;

const measured: Measured = {
  rows: [],
  profiles: [],
  missing: [],
  limits: { source: "not measured" },
  peers: {},
};
const { rows, profiles, missing } = measured;

/** Where each model lies while it is needed. */
const checkpoints = new Map<ModelName, string>();

async function checkpointOf(model: ModelName): Promise<string> {
  const known = checkpoints.get(model);
  if (known !== undefined) return known;
  const shape = shapes[shapeNameOf(model)];
  const format = isCoded(model) ? "nvfp4" : "bf16";
  const folder = options.folder ?? usualFolder(checkpointBytes(shape, format));
  const directory = join(folder, `weft-bench-${process.pid}-${model}`);
  checkpoints.set(model, directory);
  const { bytes, seconds } = await makeCheckpoint(directory, shape, format);
  say(`${model}: ${digits(bytes / 1e9)} GB of random weights in ${directory}, in ${digits(seconds)} s`);
  return directory;
}

async function forget(model: ModelName): Promise<void> {
  const directory = checkpoints.get(model);
  checkpoints.delete(model);
  if (directory !== undefined) await removeCheckpoint(directory);
}

async function visitOurs(visit: Visit, device: CudaDevice): Promise<void> {
  const ours: OursOptions = {
    device,
    directory: await checkpointOf(visit.model),
    tokens: options.tokens,
    brief: !isReal,
    isOver,
    say,
    onProfile: (profile) => profiles.push(profile),
    onRow: (row) => {
      rows.push(row);
      say(`${row.model} ${row.kind} ${row.size}: ${digits(row.tokensPerSecond.median)} tokens/s`);
    },
  };
  if (visit.train.length > 0) await measureTraining(visit.model, visit.train, ours);
  else await measureOurs(visit, ours);
}

async function visitPeer(visit: Visit): Promise<void> {
  const found = await measurePeer(visit, {
    directory: await checkpointOf(visit.model),
    tokens: options.tokens,
    seconds: secondsLeft(),
    device: isReal ? "cuda" : "cpu",
  });
  for (const row of found.rows) {
    rows.push(row);
    say(`${row.model} ${row.kind} ${row.size} ${row.who}: ${digits(row.tokensPerSecond.median)} tokens/s`);
  }
  if (found.failure !== undefined) missing.push({ what: nameOf(visit), why: found.failure });
}

const nameOf = ({ model, who, contexts, prefill, train }: Visit) =>
  train.length > 0
    ? `${model} ${who}, training at ${train.join(", ")}`
    : `${model} ${who}, decode at ${contexts.join(", ") || "none"}, prefill of ${prefill.join(", ") || "none"}`;

/** No figure of the simulated GPU is written anywhere, and no file without a figure. */
function keep(device: CudaDevice): string {
  if (!isReal) return "nothing: a simulated GPU has no speed";
  return rows.length === 0 ? "" : writeGpuResults(device, options, measured);
}

// Not disposed by `using`: a lost device must not hide what was measured before.
let device = await openOrEnd();
say(`${device.name}: ${JSON.stringify(device.facts)}`);
say(`large products: ${device.matmulLibrary.note}`);
const visits = visitsOf(options);
let written = "";
try {
  let peersRun = options.peer;
  if (options.peer && isReal) {
    const { limits, versions, failure } = await measureLimits(Math.min(120, secondsLeft()));
    Object.assign(measured, { limits, peers: versions });
    if (failure !== undefined) {
      peersRun = false;
      missing.push({ what: "PyTorch and transformers", why: failure });
    }
  }
  if (options.copyRate !== undefined || options.matmulRate !== undefined) {
    measured.limits = {
      ...(options.copyRate === undefined ? {} : { copyBytesPerSecond: options.copyRate }),
      ...(options.matmulRate === undefined ? {} : { matmulOperationsPerSecond: options.matmulRate }),
      source: "given",
    };
  }
  for (const [index, visit] of visits.entries()) {
    if (visit.who !== "weft" && !peersRun) continue;
    if (isOver()) {
      missing.push({ what: nameOf(visit), why: `the ${options.minutes} minutes were over` });
      continue;
    }
    say(`${nameOf(visit)}; ${Math.round(secondsLeft())} s left`);
    try {
      await (visit.who === "weft" ? visitOurs(visit, device) : visitPeer(visit));
    } catch (error) {
      missing.push({ what: nameOf(visit), why: messageOf(error) });
      say(`failed: ${messageOf(error)}`);
      // A failed kernel loses the device; the next visit gets a new one. Without one, what was measured is still shown.
      device[Symbol.dispose]();
      const next = await open().catch(messageOf);
      if (typeof next === "string") {
        missing.push({ what: "everything after that", why: next });
        break;
      }
      device = next;
    }
    written = keep(device);
    if (!visits.slice(index + 1).some(({ model }) => model === visit.model)) await forget(visit.model);
  }
} finally {
  await Promise.all([...checkpoints.keys()].map(forget));
  device[Symbol.dispose]();
}
console.log(`\n${showAll(measured)}\n\nwritten: ${written || "nothing"}`);
process.exitCode = rows.length > 0 ? 0 : 1;
