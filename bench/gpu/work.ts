/** What is measured, and in which order: the rows that are wanted most come first, a run may be cut off at any time. */
import { parseArgs } from "node:util";
import type { ShapeName } from "../model/shapes.ts";
import { type GpuName, gpuNames } from "../support/gpu-device.ts";

/** As they are asked for, in the order of interest. */
export const modelNames = ["4b", "4b-nvfp4", "0.6b", "8b", "1.7b", "tiny", "tiny-nvfp4"] as const;
export type ModelName = (typeof modelNames)[number];

const shapeNames = {
  "4b": "qwen3-4b",
  "4b-nvfp4": "qwen3-4b",
  "0.6b": "qwen3-0.6b",
  "8b": "qwen3-8b",
  "1.7b": "qwen3-1.7b",
  tiny: "tiny",
  "tiny-nvfp4": "tiny",
} as const satisfies Record<ModelName, ShapeName>;
export const shapeNameOf = (model: ModelName): ShapeName => shapeNames[model];

/** Whether the linears of the blocks are in NVFP4: ours alone, because the peers read no such checkpoint, and for decode and prefill. */
export const isCoded = (model: ModelName): boolean => model.endsWith("-nvfp4");

export const peerNames = ["transformers-eager", "transformers-compiled"] as const;
export type Who = "weft" | (typeof peerNames)[number];

const matmulNames = ["auto", "own"] as const;

export interface BenchOptions {
  readonly device: GpuName;
  readonly models: readonly ModelName[];
  readonly contexts: readonly number[];
  readonly prefill: readonly number[];
  /** Tokens of a training step, of which each document has up to 1024. */
  readonly train: readonly number[];
  /** Decoded for each row. */
  readonly tokens: number;
  readonly minutes: number;
  readonly peer: boolean;
  /** Kernels may begin before the one before them has ended. */
  readonly overlap: boolean;
  /** Who multiplies large matrices; undefined: what the device does by itself. */
  readonly matmul: (typeof matmulNames)[number] | undefined;
  readonly folder: string | undefined;
  readonly out: string | undefined;
  /** Bytes per second and operations per second, where they are given and not measured. */
  readonly copyRate: number | undefined;
  readonly matmulRate: number | undefined;
}

/** A model opened by one program, and what is measured while it is open. */
export interface Visit {
  readonly model: ModelName;
  readonly who: Who;
  readonly contexts: readonly number[];
  readonly prefill: readonly number[];
  /** Training takes the device for itself: a visit trains, or does the other work. */
  readonly train: readonly number[];
  readonly profile: boolean;
}

/** @throws Error with what is wrong, for people */
export function parseOptions(argv: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...argv],
    allowNegative: true,
    options: {
      device: { type: "string", default: "cuda" },
      models: { type: "string" },
      contexts: { type: "string" },
      prefill: { type: "string" },
      train: { type: "string" },
      tokens: { type: "string" },
      minutes: { type: "string", default: "30" },
      peer: { type: "boolean" },
      overlap: { type: "boolean", default: false },
      matmul: { type: "string" },
      folder: { type: "string" },
      out: { type: "string" },
      "copy-gbs": { type: "string" },
      "matmul-tflops": { type: "string" },
    },
  });
  const device = oneOf(gpuNames, values.device, "--device");
  const isReal = device === "cuda";
  const models = (values.models ?? (isReal ? "4b,4b-nvfp4,0.6b,8b,1.7b" : "tiny,tiny-nvfp4"))
    .split(",")
    .map((name) => oneOf(modelNames, name.trim().toLowerCase(), "--models"));
  const isTiny = models.every((model) => shapeNameOf(model) === "tiny");
  const scaled = (text: string | undefined, scale: number, name: string) =>
    text === undefined ? undefined : positive(text, name) * scale;
  return {
    device,
    models: modelNames.filter((name) => models.includes(name)),
    contexts: counts(values.contexts ?? (isTiny ? "8,16" : "128,1024,8192"), "--contexts"),
    prefill: counts(values.prefill ?? (isTiny ? "8" : "512,1024,4096"), "--prefill"),
    train: values.train === "none" ? [] : counts(values.train ?? (isTiny ? "16" : "1024,4096"), "--train"),
    tokens: counts(values.tokens ?? (isReal ? "200" : "4"), "--tokens")[0]!,
    minutes: positive(values.minutes, "--minutes"),
    peer: values.peer ?? isReal,
    overlap: values.overlap,
    matmul: values.matmul === undefined ? undefined : oneOf(matmulNames, values.matmul, "--matmul"),
    folder: values.folder,
    out: values.out,
    copyRate: scaled(values["copy-gbs"], 1e9, "--copy-gbs"),
    matmulRate: scaled(values["matmul-tflops"], 1e12, "--matmul-tflops"),
  };
}

function oneOf<A extends string>(known: readonly A[], given: string, name: string): A {
  const found = known.find((one) => one === given);
  if (found === undefined) throw new Error(`${name} must be of ${known.join(", ")}; given ${given}`);
  return found;
}

function positive(text: string, name: string): number {
  const value = Number(text);
  if (!(value > 0 && value < Number.POSITIVE_INFINITY))
    throw new Error(`${name} must be positive; given ${text}`);
  return value;
}

function counts(text: string, name: string): number[] {
  const values = text.split(",").map((one) => positive(one, name));
  if (!values.every(Number.isSafeInteger)) throw new Error(`${name} must be whole numbers; given ${text}`);
  return [...new Set(values)];
}

/** The size that the targets speak of, or the nearest one asked for. */
export const mainSize = (sizes: readonly number[]): number =>
  sizes.toSorted((a, b) => Math.abs(Math.log(a / 1024)) - Math.abs(Math.log(b / 1024)))[0]!;

/**
 * Ours at the main sizes for the models with targets, the peers at the same, then steps of training of the models that a
 * device has room for, then the model without a target, then all other sizes, ours before the peers'. Each main row is
 * measured once.
 */
export function visitsOf({ models, contexts, prefill, train, peer }: BenchOptions): Visit[] {
  const [context, prompt] = [mainSize(contexts), mainSize(prefill)];
  const main = { contexts: [context], prefill: [prompt], train: [], profile: true };
  const rest = {
    contexts: contexts.filter((size) => size !== context),
    prefill: prefill.filter((size) => size !== prompt),
    train: [],
    profile: false,
  };
  const training = { contexts: [], prefill: [], train, profile: false };
  const isTrained = (model: ModelName) => model !== "1.7b" && model !== "8b" && !isCoded(model);
  const isWanted = (model: ModelName) => model !== "1.7b";
  const ours = (list: readonly ModelName[], what: Omit<Visit, "model" | "who">) =>
    list.map((model): Visit => ({ model, who: "weft", ...what }));
  const theirs = (list: readonly ModelName[], what: Omit<Visit, "model" | "who">) =>
    peer
      ? list
          .filter((model) => !isCoded(model))
          .flatMap((model) => peerNames.map((who): Visit => ({ model, who, ...what, profile: false })))
      : [];
  const [first, second] = [models.filter(isWanted), models.filter((model) => !isWanted(model))];
  return [
    ...ours(first, main),
    ...theirs(first, main),
    ...ours(models.filter(isTrained), training),
    ...theirs(models.filter(isTrained), training),
    ...ours(second, main),
    ...theirs(second, main),
    ...ours(models, rest),
    ...theirs(models, rest),
  ].filter((visit) => visit.contexts.length + visit.prefill.length + visit.train.length > 0);
}
