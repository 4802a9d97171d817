/** Compiles a Qwen3 model into one plan with a prefill and a decode program. */
import {
  type Compiled,
  compile,
  expandBlock,
  kvCache,
  lastPosition,
  type Pass,
  type PrecisionPolicy,
  type ProgramInput,
  precision,
} from "@weft/compiler";
import { axis, type Dtype, type Problems } from "@weft/dsl";
import type { Either } from "fp-ts/lib/Either.js";
import type { Qwen3Config } from "../config/index.ts";
import { qwen3Model } from "./block.ts";

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
  readonly fusion?: boolean;
  /** Keep what `explain` and dumps need; default true. */
  readonly record?: boolean;
}

/** The dtype that keys and values are cached in, by policy. */
export const cacheDtype = (policy: PrecisionPolicy): Dtype => (policy === "bf16" ? "bf16" : "f32");

/** The two programs as graphs and passes: `prefill` takes up to `chunk` tokens, `decode` exactly one. */
export function qwen3Programs(config: Qwen3Config, options: Qwen3CompileOptions): ProgramInput[] {
  const model = qwen3Model(config);
  const passes: Pass[] = [
    kvCache({ capacity: options.capacity, dtype: cacheDtype(options.policy) }),
    ...(options.logits === "last" ? [lastPosition(["logits"])] : []),
    precision({ policy: options.policy, storage: options.storage }),
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
  return compile(qwen3Programs(config, options), {
    name: "qwen3",
    ...(options.fusion === undefined ? {} : { fusion: options.fusion }),
    ...(options.record === undefined ? {} : { record: options.record }),
  });
}
