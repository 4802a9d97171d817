/** The inference graph of a Qwen3 model for ONNX: the same block through the same passes as a plan's programs. */
import {
  cacheSymbols,
  decompose,
  expandBlock,
  graphToOnnx,
  keepForOnnx,
  kvCache,
  type OnnxGraph,
  precision,
  runPasses,
  simplify,
} from "@weft/compiler";
import { axis, type Dtype, verifyGraph } from "@weft/dsl";
import * as Either from "fp-ts/lib/Either.js";
import type { Qwen3Config } from "../config/index.ts";
import type { Checked } from "../config/problems.ts";
import { layersPath, qwen3Model } from "../model/block.ts";

const sequence = "seq";

/**
 * One graph for prefill and decode, with the names that ONNX exporters agree on: `input_ids` i64[1, sequence_length]
 * and, for each layer N, `past_key_values.N.key` and `.value` f32[1, kvHeads, past_sequence_length, headDim], give
 * `logits` f32[1, sequence_length, vocab] and `present.N.key` and `.value`, the past with the new rows behind it. A
 * past of length 0 begins a text. Positions count from the length of the past.
 * @param storage the dtype of each weight in the file; products are computed in f32
 */
export function qwen3Onnx(config: Qwen3Config, storage: (parameter: string) => Dtype): Checked<OnnxGraph> {
  const graph = expandBlock(qwen3Model(config), {
    name: "qwen3",
    lead: [axis(sequence, { symbol: sequence, max: config.maxPositions })],
    inputNames: ["input_ids"],
    outputName: "logits",
  });
  const passes = [
    kvCache({ capacity: config.maxPositions, dtype: "f32", sequence }),
    precision({ policy: "f32", storage }),
    decompose(keepForOnnx),
    simplify(),
  ];
  const lowered = runPasses(graph, passes, verifyGraph, false);
  if (Either.isLeft(lowered)) return lowered;
  return graphToOnnx(lowered.right.graph, {
    batch: true,
    stateNames,
    dimension: (symbol) => dimensions[symbol] ?? symbol,
    // Nothing is ever dropped from this cache.
    symbols: { [cacheSymbols.dropped]: 0 },
  });
}

const dimensions: Readonly<Record<string, string>> = {
  [sequence]: "sequence_length",
  [cacheSymbols.past]: "past_sequence_length",
  [cacheSymbols.keys]: "total_sequence_length",
};

/** `model.layers.3.cache.key` as `past_key_values.3.key`. */
function stateNames(state: string): { readonly past: string; readonly present: string } {
  const layer = state.slice(layersPath.length + 1).replace(".cache", "");
  return { past: `past_key_values.${layer}`, present: `present.${layer}` };
}
