/** Blocks with weights or a structure of their own: the layers a transformer is made of. */
import { type Axis, formatSize } from "../axis.ts";
import { mostTopK, valueAndIndex } from "../ops/reduction.ts";
import type { Block } from "./block.ts";
import { blockError } from "./block.ts";
import { axisList, leaf, namedLeaf } from "./leaf.ts";
import { captureSite } from "./source.ts";
import { tensorWire, tupleWire } from "./wire.ts";
import type { Ints, NamesOf } from "./wires.ts";

export interface LinearOptions {
  /** Adds a parameter `bias` with the axes `to`. Default false. */
  readonly bias?: boolean;
  /** The absolute name of a weight that lives elsewhere, such as a tied embedding table. */
  readonly weight?: string;
}

/**
 * Contracts the axes `from` with a weight and gives the axes `to`: `y = x W^T (+ b)`.
 * The parameter `weight` has the axes [...to, ...from] (Hugging Face's [out, in]); where a name stands on both sides
 * the contracted axis of the weight is called `name'`.
 *
 * Wires: [..., from] -> [..., to].
 * @throws WeftError when an axis is listed twice.
 * @example const qProj = linear("self_attn.q_proj", hidden, [heads, headDim]);
 */
export function linear<const From extends Axis | readonly Axis[], const To extends Axis | readonly Axis[]>(
  name: string,
  from: From,
  to: To,
  options: LinearOptions = {},
): Block<NamesOf<From>, NamesOf<To>> {
  const [fromAxes, toAxes] = [axisList(from), axisList(to)];
  distinct("linear", fromAxes);
  distinct("linear", toAxes);
  const outNames = toAxes.map((axis) => axis.name);
  const contracted = fromAxes.map((axis) =>
    outNames.includes(axis.name) ? { name: `${axis.name}'`, size: axis.size } : axis,
  );
  const weight = {
    name: options.weight ?? "weight",
    ...(options.weight === undefined ? {} : { shared: true }),
    axes: [...toAxes, ...contracted],
    initial: "normal",
  } as const;
  const bias = { name: "bias", axes: toAxes, initial: "zeros" } as const;
  return namedLeaf(name, "linear", tensorWire(fromAxes), tensorWire(toAxes), {
    site: captureSite(linear),
    attributes: { from: fromAxes.map((axis) => axis.name), to: outNames },
    parameters: options.bias ? [weight, bias] : [weight],
  });
}

/**
 * Root-mean-square normalisation over one axis with a learned scale (Zhang and Sennrich 2019): computed in f32, cast to
 * the activation's dtype, then multiplied by the weight.
 *
 * Wires: [..., axis] -> [..., axis]. Parameter: `weight` [axis], ones at the start.
 * @throws WeftError when epsilon is not a positive number.
 * @example const norm = rmsNorm("input_layernorm", hidden, 1e-6);
 */
export function rmsNorm<const Name extends string>(
  name: string,
  axis: Axis<Name>,
  epsilon: number,
): Block<[Name], [Name]> {
  if (!(epsilon > 0 && epsilon < 1))
    throw blockError("rmsNorm", "epsilon must lie between 0 and 1", String(epsilon));
  return namedLeaf(name, "rmsNorm", tensorWire([axis]), tensorWire([axis]), {
    site: captureSite(rmsNorm),
    attributes: { axis: axis.name, epsilon },
    parameters: [{ name: "weight", axes: [axis], initial: "ones" }],
  });
}

export interface SequenceOptions {
  /** The axis along which tokens stand; their positions come from it. Default "seq". */
  readonly sequence?: string;
}

/**
 * Rotary position embedding (Su et al. 2021) in the half-split form: element i turns with element i + size/2, by the
 * angle position * theta^(-2i/size). Angles are in radians, in f32.
 *
 * Wires: [..., axis] -> [..., axis]. Asks for the positions of the sequence axis.
 * @throws WeftError when the axis has an odd size or theta is not positive.
 * @example const turned = rope(headDim, 1_000_000);
 */
export function rope<const Name extends string>(
  axis: Axis<Name>,
  theta: number,
  { sequence = "seq" }: SequenceOptions = {},
): Block<[Name], [Name]> {
  if (typeof axis.size !== "number" || axis.size % 2 !== 0) {
    throw blockError(
      "rope",
      `${axis.name} must have an even fixed size`,
      formatSize(axis.size),
      "choose an even size",
    );
  }
  if (!(theta > 0 && Number.isFinite(theta))) {
    throw blockError("rope", "theta must be a positive number", String(theta));
  }
  return leaf("rope", tensorWire([axis]), tensorWire([axis]), {
    site: captureSite(rope),
    attributes: { axis: axis.name, theta, sequence },
    sideInputs: [{ kind: "position", axis: sequence }],
  }) as Block<[Name], [Name]>;
}

export interface AttendOptions<Heads extends string, KvHeads extends string, HeadDim extends string>
  extends SequenceOptions {
  /** Query heads. Each group of heads / kvHeads of them shares one key and value head. */
  readonly heads: Axis<Heads>;
  readonly kvHeads: Axis<KvHeads>;
  readonly headDim: Axis<HeadDim>;
  /** Whether a query sees only keys at its own position and before. */
  readonly causal: boolean;
  /** What scores are multiplied by before the softmax. Default 1 / sqrt(headDim). */
  readonly scale?: number;
}

/**
 * Grouped-query attention over a tuple of queries, keys and values (Ainslie et al. 2023); softmax in f32.
 *
 * Wires: ([..., heads, headDim], [..., kvHeads, headDim], [..., kvHeads, headDim]) -> [..., heads, headDim].
 * Asks for the positions of the sequence axis.
 * @throws WeftError when heads is not divisible by kvHeads, or a size is not fixed.
 * @example chain(parallel(q, k, v), merge(attend({ heads, kvHeads, headDim, causal: true })));
 */
export function attend<
  const Heads extends string,
  const KvHeads extends string,
  const HeadDim extends string,
>(
  options: AttendOptions<Heads, KvHeads, HeadDim>,
): Block<[[Heads, HeadDim], [KvHeads, HeadDim], [KvHeads, HeadDim]], [Heads, HeadDim]> {
  const { heads, kvHeads, headDim, causal, sequence = "seq" } = options;
  for (const axis of [heads, kvHeads, headDim]) {
    if (typeof axis.size !== "number") {
      throw blockError("attend", `${axis.name} must have a fixed size`, formatSize(axis.size));
    }
  }
  const [queries, groups, width] = [heads.size as number, kvHeads.size as number, headDim.size as number];
  if (queries % groups !== 0) {
    throw blockError(
      "attend",
      `${heads.name} must be divisible by ${kvHeads.name}`,
      `${queries} and ${groups}`,
    );
  }
  const scale = options.scale ?? 1 / Math.sqrt(width);
  if (!Number.isFinite(scale)) throw blockError("attend", "scale must be a finite number", String(scale));
  const query = tensorWire([heads, headDim]);
  const key = tensorWire([kvHeads, headDim]);
  return leaf("attend", tupleWire([query, key, key]), query, {
    site: captureSite(attend),
    attributes: {
      heads: heads.name,
      kvHeads: kvHeads.name,
      headDim: headDim.name,
      causal,
      scale,
      sequence,
    },
    sideInputs: [{ kind: "position", axis: sequence }],
  }) as Block<[[Heads, HeadDim], [KvHeads, HeadDim], [KvHeads, HeadDim]], [Heads, HeadDim]>;
}

/**
 * Looks up one row of a table per token id.
 *
 * Wires: int [...] -> [..., hidden]. Parameter: `weight` [vocab, hidden].
 * @example const embed = embedding("model.embed_tokens", vocab, hidden);
 */
export function embedding<const Hidden extends string>(
  name: string,
  vocab: Axis,
  hidden: Axis<Hidden>,
): Block<Ints<[]>, [Hidden]> {
  return namedLeaf(name, "embedding", tensorWire([], "int"), tensorWire([hidden]), {
    site: captureSite(embedding),
    attributes: { axis: vocab.name },
    parameters: [{ name: "weight", axes: [vocab, hidden], initial: "normal" }],
  });
}

/**
 * Exponentials over their sum along one axis, in f32, shifted by the largest element.
 *
 * Wires: [..., axis] -> [..., axis].
 * @example const probabilities = softmax(vocab);
 */
export function softmax<const Name extends string>(axis: Axis<Name>): Block<[Name], [Name]> {
  const wire = tensorWire([axis]);
  return leaf("softmax", wire, wire, {
    site: captureSite(softmax),
    attributes: { axis: axis.name },
  }) as Block<[Name], [Name]>;
}

/**
 * The sum along one axis, which disappears.
 *
 * Wires: [..., axis] -> [...].
 * @example const total = sum(hidden);
 */
export function sum<const Name extends string>(axis: Axis<Name>): Block<[Name], []> {
  return leaf("reduceSum", tensorWire([axis]), tensorWire([]), {
    site: captureSite(sum),
    attributes: { axis: axis.name },
  }) as Block<[Name], []>;
}

/**
 * The largest element along one axis, which disappears.
 *
 * Wires: [..., axis] -> [...].
 * @example const peak = largest(hidden);
 */
export function largest<const Name extends string>(axis: Axis<Name>): Block<[Name], []> {
  return leaf("reduceMax", tensorWire([axis]), tensorWire([]), {
    site: captureSite(largest),
    attributes: { axis: axis.name },
  }) as Block<[Name], []>;
}

/**
 * The largest elements along one axis with their indices, the largest first; of equal ones the lower index first.
 *
 * Wires: [..., axis] -> [..., into, valueAndIndex]: of the last axis, element 0 is the value and element 1 its index.
 * @param into its size is how many are kept: 1 to 32
 * @example const candidates = topK(vocab, axis("candidate", 20));
 */
export function topK<const Name extends string, const Into extends string>(
  axis: Axis<Name>,
  into: Axis<Into>,
): Block<[Name], [Into, "valueAndIndex"]> {
  const { name, size: count } = into;
  if (typeof count !== "number" || count > mostTopK) {
    throw blockError("topK", `keeps 1 to ${mostTopK} elements`, formatSize(count));
  }
  return leaf("topK", tensorWire([axis]), tensorWire([into, valueAndIndex]), {
    site: captureSite(topK),
    attributes: { axis: axis.name, into: name, count },
  }) as Block<[Name], [Into, "valueAndIndex"]>;
}

function distinct(source: string, axes: readonly Axis[]): void {
  const names = axes.map((axis) => axis.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw blockError(source, "every axis must be listed once", `${twice} twice`);
}
