/** Compiles a Qwen3 model into one plan with a prefill and a decode program. */
import {
  type Compiled,
  candidates,
  compile,
  compileRepeated,
  drawToken,
  expandBlock,
  type FormatReasons,
  kvCache,
  lastPosition,
  type Pass,
  type PrecisionPolicy,
  type ProgramInput,
  patternLayers,
  precision,
  quantize,
  rescore,
  type WeightFormat,
} from "@weft/compiler";
import { type AnyBlock, axis, type BlockLike, type Dtype, type Problems, parametersOf } from "@weft/dsl";
import { type Either, isLeft, right } from "fp-ts/lib/Either.js";
import { type Adapter, adapterPass, renameAdapter } from "../adapter/adapter.ts";
import type { Qwen3Config } from "../config/index.ts";
import { layersPath, qwen3Block, qwen3Model } from "./block.ts";

export interface Qwen3CompileOptions {
  /** The most tokens that the KV cache holds. */
  readonly capacity: number;
  /** The most tokens of one prefill step. */
  readonly chunk: number;
  readonly policy: PrecisionPolicy;
  /** How each parameter is stored. */
  readonly storage: (parameter: string) => Dtype;
  /** Logits of the last position only (generation), or of every position. */
  readonly logits: "last" | "all";
  /** Block paths whose residual stream becomes an output: `model.layers.0`. */
  readonly observe?: readonly string[];
  /** How many of the likeliest tokens become an output beside the logits; default 0: none. */
  readonly candidates?: number;
  /** The parameter with the plain rows of a quantised head: candidates are scored again by them. Default: they are not. */
  readonly rescore?: string | undefined;
  /** Under the policy bf16, products read a rounding of f32 weights: what training does. Default false. */
  readonly roundWeights?: boolean;
  /** Which parameters are quantised, and how. Default: none. */
  readonly quantized?: ((parameter: string) => WeightFormat | undefined) | undefined;
  /** Why each parameter is quantised or is not, for `explain`. */
  readonly reasons?: ((parameter: string) => FormatReasons | undefined) | undefined;
  /** Products beside the weights that it names; `storage` is asked for its parameters too. */
  readonly adapter?: Adapter | undefined;
  /** A model of the caller's own in the place of Qwen3's: token ids to logits [vocab]. */
  readonly model?: AnyBlock | BlockLike | undefined;
  readonly fusion?: boolean;
  /** Keep what `explain` and dumps need; default true. Without it, equal layers are compiled once. */
  readonly record?: boolean;
}

/** The dtype that keys and values are cached in, by policy. */
export const cacheDtype = (policy: PrecisionPolicy): Dtype => (policy === "bf16" ? "bf16" : "f32");

/** The two programs as graphs and passes: `prefill` takes up to `chunk` tokens, `decode` exactly one. */
export function qwen3Programs(config: Qwen3Config, options: Qwen3CompileOptions): ProgramInput[] {
  const model = options.model ?? qwen3Model(config);
  const rows = options.rescore;
  const passes: Pass[] = [
    ...(options.adapter === undefined ? [] : [adapterPass(options.adapter)]),
    kvCache({ capacity: options.capacity, dtype: cacheDtype(options.policy) }),
    ...(options.logits === "last" ? [lastPosition(["logits"])] : []),
    ...(options.quantized === undefined
      ? []
      : [quantize({ weights: options.quantized, reasons: options.reasons })]),
    precision({
      policy: options.policy,
      storage: options.storage,
      roundWeights: options.roundWeights ?? false,
    }),
    ...(options.candidates
      ? [
          candidates({ output: "logits", axis: "vocab", count: options.candidates }),
          ...(rows === undefined
            ? []
            : [rescore({ output: "logits", rows, storage: options.storage(rows) })]),
          drawToken({ tokens: "tokens", sequence: "seq" }),
        ]
      : []),
  ];
  const program = (name: string, chunk: number): ProgramInput => ({
    name,
    graph: expandBlock(model, {
      name: `qwen3-${name}`,
      lead: [axis("seq", chunk === 1 ? 1 : { symbol: "seq", max: chunk })],
      inputNames: ["tokens"],
      outputName: "logits",
      observe: options.observe ?? [],
    }),
    passes,
  });
  const programs = [program("decode", 1)];
  return options.chunk > 1 ? [program("prefill", options.chunk), ...programs] : programs;
}

export function compileQwen3(config: Qwen3Config, options: Qwen3CompileOptions): Either<Problems, Compiled> {
  const common = { name: "qwen3", fusion: options.fusion ?? true };
  if (options.record === false) {
    const repeated = compileEqualLayers(config, options, common);
    if (repeated !== undefined) return repeated;
  }
  return compile(qwen3Programs(config, options), { ...common, record: options.record ?? true });
}

/** The plan from one compilation of what is equal; undefined where the layers are few or differ. */
function compileEqualLayers(
  config: Qwen3Config,
  options: Qwen3CompileOptions,
  common: { readonly name: string; readonly fusion: boolean },
): Either<Problems, Compiled> | undefined {
  const { layers } = config;
  const last = patternLayers - 1;
  // What a model of the caller's own repeats is not known here.
  if (options.model !== undefined) return undefined;
  if (layers <= patternLayers || (options.observe ?? []).length > 0) return undefined;
  const inLayer = parametersOf(qwen3Block(config));
  if (isLeft(inLayer)) return undefined;
  const adapted = new Set(options.adapter?.linears.map(({ weight }) => weight));
  const stored = (layer: number) =>
    inLayer.right
      .map(({ name }) => `${layersPath}.${layer}.${name}`)
      .map((name) => {
        const quantized = JSON.stringify(options.quantized?.(name));
        return `${options.storage(name)} ${quantized} ${adapted.has(name)}`;
      })
      .join();
  for (let layer = 2; layer < layers - 1; layer++) if (stored(layer) !== stored(1)) return undefined;
  // The pattern's last layer stands for the model's last one.
  const own = (parameter: string) =>
    parameter.replace(`${layersPath}.${last}.`, `${layersPath}.${layers - 1}.`);
  const { quantized } = options;
  const ofLayers = {
    storage: (parameter: string) => options.storage(own(parameter)),
    ...(quantized === undefined ? {} : { quantized: (parameter: string) => quantized(own(parameter)) }),
  };
  const adapter =
    options.adapter &&
    renameAdapter(options.adapter, (path) => {
      const layer = Number(path.slice(layersPath.length + 1).split(".")[0]);
      if (!path.startsWith(`${layersPath}.`) || layer < last) return path;
      const start = `${layersPath}.${layer}.`;
      return layer === layers - 1 ? `${layersPath}.${last}.${path.slice(start.length)}` : undefined;
    });
  const programs = qwen3Programs({ ...config, layers: patternLayers }, { ...options, ...ofLayers, adapter });
  const compiled = compileRepeated(programs, { path: layersPath, layers }, common);
  if (isLeft(compiled)) return compiled;
  return compiled.right === undefined ? undefined : right(compiled.right);
}
