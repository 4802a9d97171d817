/** How a checkpoint is opened: the options, their defaults, and the check that they make sense together. */
import type { Fp4Products, PrecisionPolicy } from "@weft/compiler";
import { type BlockLike, mostTopK } from "@weft/dsl";
import type { Device } from "@weft/runtime";
import type * as Either from "fp-ts/lib/Either.js";
import { type Problem, type Problems, showGiven, unlessProblems, userProblem } from "../config/problems.ts";
import type { Qwen3Config } from "../config/qwen3-config.ts";
import type { ActivationFormat, FormatRule } from "../quantize/format-rules.ts";

/** Whether products quantise their other side as well, where the weight is in NVFP4. */
export type Activations = ActivationFormat;

/** Devices that are made by their name. */
export const deviceNames = ["cpu", "cuda", "cuda-sim"] as const;
export type DeviceName = (typeof deviceNames)[number];

export interface OpenOptions {
  /** `cpu` (the default), `cuda`, `cuda-sim` (the simulated GPU), or a device that the caller made and disposes. */
  readonly device?: DeviceName | Device | undefined;
  /**
   * `f32` (the default on the CPU): weights stay as the file holds them and are widened exactly where they are used.
   * `bf16` (the default on GPUs): matrices are stored as bf16, converted at load where the file has another type; so are keys and values.
   */
  readonly dtype?: PrecisionPolicy | undefined;
  /**
   * Linears of a plain checkpoint that are quantised while they are loaded, to the bytes that `quantizeCheckpoint` writes: the
   * last rule that fits one decides; default: none. `[{ pattern: "model.layers.*", format: "nvfp4" }]` are the linears of
   * all blocks. `lm_head` may be named, also where it is the table, and `model.embed_tokens`. `fp8` has a byte for each weight,
   * and an f32 scale for each row; no checkpoint is written so. What is encoded takes 4.5 or 8 bits of this process's memory for
   * each weight until the device has it.
   */
  readonly quantize?: readonly FormatRule[] | undefined;
  /** What `quantize` puts into NVFP4: tries for each block whether 4 or 6 as its largest code is nearer. Default false. */
  readonly fourOverSix?: boolean | undefined;
  /**
   * Where weights are in NVFP4: `plain` (the default) dequantises them exactly within each product; `nvfp4` quantises what
   * they are multiplied with as well, by the checkpoint's own input scales where it has them. Rules say it of some.
   */
  readonly activations?: Activations | readonly FormatRule[] | undefined;
  /**
   * A head in NVFP4 or FP8 picks the 32 likeliest tokens, and the plain head's rows of these score them again: true (the default),
   * where the plain rows are there: the table of a tied model, a head that `quantize` names, whose plain matrix is then loaded
   * as well, or what the checkpoint keeps beside the head. It serves samplers that are greedy or have a `topK` of at most 32; all others look at the logits, which stay those
   * of the quantised head. A token reads 32 rows of the plain matrix.
   */
  readonly rescore?: boolean | undefined;
  /**
   * Where both are in NVFP4, who multiplies from 128 rows on: `hardware` is a GPU's units for FP4, which begin with compute
   * capability 10.0 (see `openGpu`); opening is refused where they are missing. Default: `emulated`.
   */
  readonly fp4?: Fp4Products | undefined;
  /** The most tokens of a context. Default: what the model was trained for, at most 4096. */
  readonly capacity?: number | undefined;
  /** The most tokens of one prefill step. Default 512, at most the capacity. */
  readonly chunk?: number | undefined;
  /** Threads of the device that is made here. Default: the device's own choice. */
  readonly threads?: number | undefined;
  /** Loading is refused, with a table, when the device needs more. Default: no limit. */
  readonly memoryLimitBytes?: number | undefined;
  /** Logits of the last position (the default), or of every one: for `logitsOf`. */
  readonly logits?: "last" | "all" | undefined;
  /** Block paths whose values become outputs: `model.layers.0`, `model.norm`. */
  readonly observe?: readonly string[] | undefined;
  /**
   * A model of the caller's own in the place of Qwen3's: i32 token ids to logits over the axis vocab, with parameters named
   * as the checkpoint names its tensors. Everything else (cache, formats, devices, sampling) is the same. Default: Qwen3.
   */
  readonly model?: BlockLike | undefined;
  /** Directory of a LoRA adapter as PEFT has it: its products are computed beside the weights. */
  readonly adapter?: string | undefined;
  /** Look through all weights for NaN and infinity at load. Default: the device's own choice. */
  readonly checkWeights?: boolean | undefined;
  /** Fused kernels (the default), or one kernel per operation: slow, for comparison. */
  readonly fusion?: boolean | undefined;
  /**
   * Folder of plans compiled before, which `openQwen3` starts from where the inputs are the same; false: none. Default:
   * WEFT_CACHE_DIR, else `weft` in the user's cache directory.
   */
  readonly planCache?: string | false | undefined;
  /** Keep the graphs of every pass, for `explain` and dumps. Default: where a model is prepared, not where it is run. */
  readonly record?: boolean | undefined;
  /** Opens the tokenizer while the device loads, for programs that will surely need it. Default false. */
  readonly withTokenizer?: boolean | undefined;
  /** Told what is being done, so that a program can show it. */
  readonly onProgress?: ((progress: OpenProgress) => void) | undefined;
}

export interface OpenProgress {
  readonly stage: "checkpoint" | "compile" | "quantize" | "load" | "tokenizer" | "ready";
  /** While weights are quantised, or the device loads them and says how far it is: from 0 to 1. */
  readonly fraction?: number;
  /** Since the call of `openQwen3`. */
  readonly milliseconds: number;
}

/** The options with their defaults, as they take effect. */
export interface ResolvedOpenOptions {
  readonly dtype: PrecisionPolicy;
  readonly capacity: number;
  readonly chunk: number;
  readonly logits: "last" | "all";
  readonly observe: readonly string[];
  /** Of the likeliest tokens that the device picks out, so that the logits need not be copied; 0: none. */
  readonly candidates: number;
  readonly fusion: boolean;
}

const defaultCapacity = 4096;
const defaultChunk = 512;

/**
 * Left: every option that makes no sense, together.
 * @param isRescored candidates are wanted on every device
 */
export function resolveOpenOptions(
  options: OpenOptions,
  config: Qwen3Config,
  isRescored = false,
): Either.Either<Problems, ResolvedOpenOptions> {
  const problems: Problem[] = [];
  const complain = (requirement: string, given: unknown, remedy: string) =>
    problems.push(userProblem("open", requirement, { given: showGiven(given), remedy }));
  const capacity = options.capacity ?? Math.min(config.maxPositions, defaultCapacity);
  if (!isCount(capacity)) {
    complain("the context capacity must be an integer of at least 1", capacity, "4096 is usual");
  } else if (capacity > config.maxPositions) {
    complain(
      `the context capacity must be at most max_position_embeddings of ${config.file}, ${config.maxPositions}`,
      capacity,
      "give a smaller capacity",
    );
  }
  const chunk = options.chunk === undefined ? Math.min(defaultChunk, capacity) : options.chunk;
  if (!isCount(chunk)) complain("the prefill chunk must be an integer of at least 1", chunk, "512 is usual");
  if (options.threads !== undefined && !isCount(options.threads)) {
    complain("threads must be an integer of at least 1", options.threads, "leave it out for the default");
  }
  const { memoryLimitBytes: limit } = options;
  if (limit !== undefined && !(Number.isSafeInteger(limit) && limit > 0)) {
    complain("the memory limit must be a positive integer of bytes", limit, "leave it out for no limit");
  }
  const usual = usualOn(options.device);
  const dtype = options.dtype ?? usual.dtype;
  if (dtype !== "f32" && dtype !== "bf16")
    complain("dtype must be f32 or bf16", dtype, "leave it out for the default");
  const { fp4, fourOverSix = false } = options;
  if (fourOverSix && options.quantize?.some(({ format }) => format === "nvfp4") !== true)
    complain(
      "fourOverSix must go with weights that are put into nvfp4",
      fourOverSix,
      "add a rule to quantize",
    );
  if (fp4 !== undefined && fp4 !== "emulated" && fp4 !== "hardware")
    complain("fp4 must be emulated or hardware", fp4, "leave it out for emulated");
  else if (fp4 === "hardware" && options.device !== "cuda" && options.device !== "cuda-sim")
    complain(
      "fp4 hardware must go with a GPU that is made here",
      typeof options.device === "object" ? options.device.name : (options.device ?? "cpu"),
      "use the device cuda, or give fp4 when making the device",
    );
  else if (fp4 === "hardware" && !asksForNvfp4(options.activations))
    complain(
      "fp4 hardware must go with activations in nvfp4",
      options.activations ?? "plain",
      "add activations nvfp4",
    );
  const logits = options.logits ?? "last";
  if (logits !== "last" && logits !== "all") complain("logits must be last or all", logits, "leave it out");
  const { device } = options;
  if (typeof device === "string" && !deviceNames.includes(device)) {
    complain(`the device must be ${deviceNames.join(", ")}, or a device object`, device, "use cpu");
  }
  const noThreads = typeof device === "object" || device === "cuda" || device === "cuda-sim";
  if (options.threads !== undefined && noThreads) {
    complain(
      "threads must be left out for any device but the CPU that is made here",
      options.threads,
      "leave it out, or give it when making the device",
    );
  }
  return unlessProblems(problems, () => ({
    dtype,
    capacity,
    chunk: Math.min(chunk, capacity),
    logits,
    observe: options.observe ?? [],
    candidates: isRescored ? mostTopK : logits === "last" ? usual.candidates : 0,
    fusion: options.fusion ?? true,
  }));
}

/** Parity on the CPU, which has its logits at hand; speed on a GPU, which picks out the likeliest tokens. */
export function usualOn(device: OpenOptions["device"]): Pick<ResolvedOpenOptions, "dtype" | "candidates"> {
  const name = typeof device === "object" ? device.name : device;
  const isGpu = name?.startsWith("cuda") === true;
  return { dtype: isGpu ? "bf16" : "f32", candidates: isGpu ? mostTopK : 0 };
}

const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 1;

const asksForNvfp4 = (activations: OpenOptions["activations"]) =>
  typeof activations === "string"
    ? activations === "nvfp4"
    : activations?.some(({ format }) => format === "nvfp4") === true;
