/** LoRA adapters of a Qwen3: which linears have one, their parameters, and the pass that puts them into a graph. */
import { type LoraAdapter, type LoraOptions, lora, loraAdapters, type Pass } from "@weft/compiler";
import type { Axis } from "@weft/dsl";
import type { Qwen3Config } from "../config/index.ts";
import { layersPath, qwen3Model } from "../model/block.ts";

export interface AdapterOptions {
  /** Columns of A and rows of B: an integer of at least 1. */
  readonly rank: number;
  /** The adapters' products are scaled by alpha / rank. Default: the rank, so by 1. */
  readonly alpha?: number;
  /**
   * Paths of linears, or their ends behind a dot, such as `q_proj`; `*` stands for any characters. Default: every linear
   * of the layers.
   */
  readonly targets?: readonly string[];
}

/** The adapters of one model. */
export interface Adapter {
  readonly rank: number;
  readonly alpha: number;
  readonly linears: readonly LoraAdapter[];
}

/** @throws WeftError with all that is wrong with rank, alpha and targets */
export function adapterOf(config: Qwen3Config, options: AdapterOptions): Adapter {
  const { rank, alpha = rank, targets = [`${layersPath}.*`] } = options;
  return { rank, alpha, linears: loraAdapters(qwen3Model(config), { rank, alpha, targets }) };
}

/** A and B of every linear, in the order of the model. */
export function adapterParameters({
  linears,
}: Adapter): readonly { readonly name: string; readonly axes: readonly Axis[] }[] {
  return linears.flatMap(({ a, b }) => [a, b]);
}

/** The pass that adds just these adapters. */
export function adapterPass({ rank, alpha, linears }: Adapter): Pass {
  const options: LoraOptions = { rank, alpha, targets: linears.map(({ path }) => path) };
  return lora(options);
}

/** The adapters of another model: each path under the name that it has there, or left out where it has none. */
export function renameAdapter(adapter: Adapter, rename: (path: string) => string | undefined): Adapter {
  const linears = adapter.linears.flatMap(({ path, weight, a, b }) => {
    const other = rename(path);
    if (other === undefined) return [];
    const named = (name: string) => `${other}${name.slice(path.length)}`;
    return [
      {
        path: other,
        weight: named(weight),
        a: { ...a, name: named(a.name) },
        b: { ...b, name: named(b.name) },
      },
    ];
  });
  return { ...adapter, linears };
}

/** The linears as briefly as PEFT has them: the ends of their paths where these mean just them, else whole paths. */
export function targetModules(config: Qwen3Config, { linears }: Adapter): readonly string[] {
  const ends = [...new Set(linears.map(({ path }) => path.split(".").at(-1)!))];
  // Any rank finds the paths; a small one fits every linear.
  const meant = loraAdapters(qwen3Model(config), { rank: 1, alpha: 1, targets: [`${layersPath}.*`] }).filter(
    ({ path }) => ends.includes(path.split(".").at(-1)!),
  );
  return meant.length === linears.length ? ends : linears.map(({ path }) => path);
}
