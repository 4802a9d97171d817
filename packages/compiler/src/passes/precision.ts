/**
 * precision: says how parameters are stored and what matmuls read.
 *
 * - Storage: each parameter gets the dtype that `storage` names (as the checkpoint holds it, or converted at load).
 * - Policy `f32`: activations stay f32; a bf16 weight is widened exactly where it is used.
 * - Policy `bf16`: what a matmul reads is rounded to bf16, accumulation and everything else stay f32. A matmul is a
 *   linear, or a dot: the products that `grad` makes of a linear. What they give, gradients of weights included, is f32.
 *   So are queries, keys and values of an attention whose keys are not stored narrower already, in a cache.
 */
import { type Dtype, isFloat } from "@weft/dsl";
import type { Pass } from "./pass.ts";
import { placeOf } from "./pass.ts";
import { attributesOf, copyNode, rewriteGraph } from "./rewrite.ts";

export type PrecisionPolicy = "f32" | "bf16";

export interface PrecisionOptions {
  readonly policy: PrecisionPolicy;
  /** The storage dtype of a parameter. */
  readonly storage: (parameter: string) => Dtype;
  /** Under `bf16`, what a matmul reads of an f32 weight is rounded too: master weights. Default: f32 weights stay. */
  readonly roundWeights?: boolean;
}

/** Inputs that an op reads in their storage dtype; any other gets a cast to f32. */
const rawInputs: Readonly<Record<string, readonly number[]>> = {
  linear: [1],
  embedding: [1],
  dot: [0, 1],
  gather: [0],
  cast: [0],
};

/** The inputs of attention ops that are multiplied with each other. */
const multiplied: Readonly<Record<string, readonly number[]>> = {
  attend: [0, 1, 2],
  attendLogSumExp: [0, 1],
  attendGradient: [0, 1, 2],
};

export function precision(options: PrecisionOptions): Pass {
  return {
    name: "precision",
    summary: `parameters in their storage dtype, matmul inputs by policy ${options.policy}`,
    run: (graph, log) =>
      rewriteGraph(graph, (builder, node, inputs) => {
        if (node.op === "parameter") {
          const attributes = attributesOf(node, "parameter");
          if (!isFloat(attributes.dtype)) return undefined;
          const dtype = options.storage(attributes.name);
          if (dtype !== "f32") log.fired(`stored as ${dtype}`, attributes.name);
          return builder.add("parameter", [], { ...attributes, dtype });
        }
        const raw = rawInputs[node.op] ?? [];
        const heads = multiplied[node.op] ?? [];
        const areKeysWide = heads.length > 0 && builder.type(inputs[1]!).dtype === "f32";
        const cast = inputs.map((id, index) => {
          const { dtype } = builder.type(id);
          const isMatmul =
            (node.op === "linear" && index === 0) ||
            node.op === "dot" ||
            (areKeysWide && heads.includes(index));
          // A weight is read as it is stored, whichever side it stands on.
          const isWeight = builder.node(id).op === "parameter";
          const isMaster =
            isWeight &&
            options.roundWeights === true &&
            (node.op === "dot" || (node.op === "linear" && index === 1));
          if ((isMaster || (isMatmul && !isWeight)) && options.policy === "bf16" && dtype === "f32") {
            log.fired("matmul input rounded to bf16", placeOf(node));
            return builder.add("cast", [id], { dtype: "bf16" });
          }
          const narrow = (dtype === "bf16" || dtype === "f16") && isWeight;
          return narrow && !raw.includes(index) ? builder.add("cast", [id], { dtype: "f32" }) : id;
        });
        return copyNode(builder, node, cast);
      }),
  };
}
