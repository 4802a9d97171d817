/**
 * quantize: weights in NVFP4 or FP8, read by products as they are stored.
 *
 * - A weight that `storage` names becomes a matrix of codes and block scales: rows, and one axis of all that is contracted.
 *   What reads it does so through a view. Its tensor scale, where it has one, is a parameter of its own that multiplies the
 *   result: `x W^T` becomes `(x Q^T) * scale`, which fusion computes where the product ends.
 * - A weight in FP8 keeps its axes. The scales of its rows are a parameter of their own that multiplies the result the same
 *   way, column by column.
 * - With `activations`, the products' other side is quantised as well, 16 elements along what is contracted at a time,
 *   and its scale goes the same way.
 *
 * - A weight under training stays as it is, and products read its blocks (`quantizeNvfp4`), which are an op of the graph:
 *   the gradient passes them unchanged to the weight. `optimizer` and `parameterStates` make a state of them.
 *
 * Linears and embeddings are rewritten; anything else that reads such a weight is refused. Goes before `grad` and
 * `precision`.
 */
import {
  type Axis,
  type Dtype,
  type Graph,
  type GraphBuilder,
  type GraphNode,
  maxSize,
  type NodeId,
  nvfp4Block,
  unsupportedProblem,
  WeftError,
} from "@weft/dsl";
import { type Pass, type PassLog, placeOf } from "../pass.ts";
import { attributesOf, copyNode, rewriteGraph } from "../rewrite.ts";
import { encodeScaleName, inputEncodeScaleName, rowScalesName, tensorScaleName } from "./names.ts";

/** What a quantised weight's products do with their other side. */
export type ActivationFormat =
  /** It stays as it is: the weight is dequantised exactly within the product. */
  | "none"
  /** NVFP4, scaled by a parameter (`inputEncodeScaleName`). */
  | "nvfp4-scaled"
  /** NVFP4 without a scale of the tensor. */
  | "nvfp4";

export interface QuantizedWeight {
  /** Whether values are to be multiplied by a parameter named `tensorScaleName`. */
  readonly hasTensorScale: boolean;
  readonly activations: ActivationFormat;
}

/** A weight that training updates: blocks are made from it by each update. */
export interface TrainedBlocks {
  readonly fourOverSix: boolean;
}

/** A weight in FP8: codes of E4M3, and a scale for each row. What it is multiplied with stays as it is. */
export interface Fp8Weight {
  readonly rowScales: true;
}

/** How a parameter is stored that is quantised. */
export type WeightFormat = QuantizedWeight | TrainedBlocks | Fp8Weight;

/** Who has decided about a weight: a checkpoint, a pattern, an option. */
export interface FormatReasons {
  /** Why it is in NVFP4 or FP8, or is not. */
  readonly weight: string;
  /** Of a weight in NVFP4: why the other side of its products is quantised as well, or is not. */
  readonly activations?: string;
}

export interface QuantizeOptions {
  /** How a parameter is stored; undefined for one that is not quantised. */
  readonly weights: (parameter: string) => WeightFormat | undefined;
  /** For `explain`: the pass writes them down where the weight is read. */
  readonly reasons?: ((parameter: string) => FormatReasons | undefined) | undefined;
}

const isTrained = (weight: WeightFormat): weight is TrainedBlocks => "fourOverSix" in weight;
const isFp8 = (weight: WeightFormat): weight is Fp8Weight => "rowScales" in weight;
const formatOf = (weight: WeightFormat) => (isFp8(weight) ? "fp8" : "nvfp4");

export function quantize({ weights, reasons }: QuantizeOptions): Pass {
  return {
    name: "quantize",
    summary: "weights in NVFP4 or FP8, their scales behind the products",
    run: (graph, log) => {
      const found = new Map<string, WeightFormat>();
      for (const { op, attributes } of graph.nodes) {
        const { name } = attributes as { readonly name: string };
        const weight = op === "parameter" ? weights(name) : undefined;
        if (weight !== undefined) found.set(name, weight);
      }
      if (found.size === 0) return graph;
      const contracted = contractedAxes(graph, found);
      return rewriteGraph(graph, (builder, node, inputs) => {
        if (node.op === "parameter") {
          const { name, axes } = attributesOf(node, "parameter");
          if (!found.has(name)) return undefined;
          return storedMatrix(builder, node, name, axes, contracted.get(name) ?? 1, found.get(name)!);
        }
        const read = weightOf(graph, node);
        if (read === undefined) return undefined;
        const weight = found.get(read);
        writeDown(log, node, weight, reasons?.(read));
        return weight === undefined ? undefined : scaledProduct(builder, node, inputs, read, weight);
      });
    },
  };
}

/** How the rule begins that a quantised weight fires. */
export const storedAs = "stored as ";

function writeDown(
  log: PassLog,
  node: GraphNode,
  weight: WeightFormat | undefined,
  reasons: FormatReasons | undefined,
): void {
  const place = placeOf(node);
  const because = (reason: string | undefined) => (reason === undefined ? "" : `: ${reason}`);
  if (weight === undefined) {
    if (reasons !== undefined) log.refused("quantize", place, `not quantised: ${reasons.weight}`);
    return;
  }
  log.fired(`${storedAs}${formatOf(weight)}${because(reasons?.weight)}`, place);
  if (node.op !== "linear") return;
  const isExact = isTrained(weight) || isFp8(weight) || weight.activations === "none";
  const path = isExact ? "dequantised exactly in the product" : "both sides in nvfp4";
  log.fired(`${path}${because(reasons?.activations)}`, place);
}

/** The parameter that a linear or an embedding reads. */
function weightOf(graph: Graph, { op, inputs }: GraphNode): string | undefined {
  if (op !== "linear" && op !== "embedding") return undefined;
  const weight = graph.nodes[inputs[1]!]!;
  return weight.op === "parameter" ? attributesOf(weight, "parameter").name : undefined;
}

/** How many trailing axes of each weight a row of its matrix has. */
function contractedAxes(graph: Graph, found: ReadonlyMap<string, WeightFormat>): ReadonlyMap<string, number> {
  const contracted = new Map<string, number>();
  for (const node of graph.nodes) {
    for (const [index, input] of node.inputs.entries()) {
      const { op, attributes } = graph.nodes[input]!;
      const name = op === "parameter" ? (attributes.name as string) : undefined;
      if (name === undefined || !found.has(name)) continue;
      const isRead = index === 1 && (node.op === "linear" || node.op === "embedding");
      const format = formatOf(found.get(name)!);
      if (!isRead) throw refused(node, name, format, `${node.op} cannot read it`);
      const count =
        node.op === "linear"
          ? attributesOf(node, "linear").from.length
          : graph.nodes[input]!.type.axes.length - 1;
      if ((contracted.get(name) ?? count) !== count)
        throw refused(node, name, format, "two products contract different axes of it");
      contracted.set(name, count);
    }
  }
  return contracted;
}

function refused(node: GraphNode, name: string, format: "nvfp4" | "fp8", given: string): WeftError {
  return new WeftError([
    unsupportedProblem("quantize", `a weight in ${format} must be read by linears and embeddings alike`, {
      path: name,
      given: `${given}, at ${placeOf(node)}`,
      remedy: "leave it in f32 or bf16",
    }),
  ]);
}

/** The matrix as checkpoints keep it, seen with the model's axes. */
function storedMatrix(
  builder: GraphBuilder,
  node: GraphNode,
  name: string,
  axes: readonly Axis[],
  contracted: number,
  weight: WeightFormat,
): NodeId {
  if (isFp8(weight)) return builder.add("parameter", [], { name, dtype: "f8e4m3", axes });
  const trained = isTrained(weight) ? weight : undefined;
  const dtype: Dtype = trained === undefined ? "nvfp4" : attributesOf(node, "parameter").dtype;
  const blocks = (matrix: NodeId) =>
    trained === undefined
      ? matrix
      : builder.add("quantizeNvfp4", [matrix, scalar(builder, encodeScaleName(name))], {
          fourOverSix: trained.fourOverSix,
          nonZero: false,
        });
  const inner = axes.slice(axes.length - contracted);
  const size = inner.reduce((product, one) => product * maxSize(one.size), 1);
  if (size % nvfp4Block !== 0) {
    throw refused(node, name, "nvfp4", `rows of ${size} elements, which is no multiple of ${nvfp4Block}`);
  }
  if (inner.length === 1) return blocks(builder.add("parameter", [], { name, dtype, axes }));
  const merged = inner.map((one) => one.name).join("_");
  const outer = axes.slice(0, axes.length - contracted);
  const matrix = builder.add("parameter", [], { name, dtype, axes: [...outer, { name: merged, size }] });
  return builder.add("splitAxis", [blocks(matrix)], { axis: merged, into: inner });
}

const scalar = (builder: GraphBuilder, name: string): NodeId =>
  builder.add("parameter", [], { name, dtype: "f32", axes: [] });

function scaledProduct(
  builder: GraphBuilder,
  node: GraphNode,
  inputs: readonly NodeId[],
  name: string,
  weight: WeightFormat,
): NodeId {
  if (isFp8(weight)) return scaledByRows(builder, node, inputs, name);
  const activations = isTrained(weight) ? "none" : weight.activations;
  const isScaled = isTrained(weight) || weight.hasTensorScale;
  const scales = isScaled ? [scalar(builder, tensorScaleName(name))] : [];
  const scaled = (product: NodeId) =>
    scales.reduce((value, scale) => builder.add("mul", [value, scale], {}), product);
  if (node.op === "embedding") return scaled(copyNode(builder, node, inputs));
  const [x, matrix, bias] = inputs as readonly [NodeId, NodeId, NodeId?];
  let other = x;
  if (activations !== "none") {
    const encodeScale =
      activations === "nvfp4" ? builder.constant(1) : scalar(builder, inputEncodeScaleName(name));
    if (activations === "nvfp4-scaled") scales.push(builder.add("reciprocal", [encodeScale], {}));
    const quantized = builder.add("quantizeNvfp4", [inOrder(builder, node, x), encodeScale], {
      fourOverSix: false,
      nonZero: false,
    });
    other = builder.add("cast", [quantized], { dtype: "f32" });
  }
  const product = scaled(builder.add("linear", [other, matrix], attributesOf(node, "linear")));
  return bias === undefined ? product : builder.add("add", [product, inF32(builder, bias)], {});
}

/** The scale of a row multiplies its column of a product, or the row where it is looked up. */
function scaledByRows(
  builder: GraphBuilder,
  node: GraphNode,
  inputs: readonly NodeId[],
  name: string,
): NodeId {
  const { axes } = builder.type(inputs[1]!);
  const contracted = node.op === "linear" ? attributesOf(node, "linear").from.length : axes.length - 1;
  const outer = axes.slice(0, axes.length - contracted);
  const scales = builder.add("parameter", [], { name: rowScalesName(name), dtype: "f32", axes: outer });
  if (node.op === "embedding") {
    const own = builder.add("embedding", [inputs[0]!, scales], attributesOf(node, "embedding"));
    return builder.add("mul", [copyNode(builder, node, inputs), own], {});
  }
  const [x, matrix, bias] = inputs as readonly [NodeId, NodeId, NodeId?];
  const product = builder.add(
    "mul",
    [builder.add("linear", [x, matrix], attributesOf(node, "linear")), scales],
    {},
  );
  return bias === undefined ? product : builder.add("add", [product, inF32(builder, bias)], {});
}

const inF32 = (builder: GraphBuilder, id: NodeId): NodeId =>
  builder.type(id).dtype === "f32" ? id : builder.add("cast", [id], { dtype: "f32" });

/** Blocks lie along the last axis that is contracted. */
function inOrder(builder: GraphBuilder, node: GraphNode, x: NodeId): NodeId {
  const { from } = attributesOf(node, "linear");
  const { axes } = builder.type(x);
  const last = axes.at(-1);
  if (last !== undefined && last.name === from.at(-1) && maxSize(last.size) % nvfp4Block === 0) return x;
  throw new WeftError([
    unsupportedProblem(
      "quantize",
      "the last axis of what is quantised must be contracted, in whole blocks of 16",
      {
        path: placeOf(node),
        given: axes.map((one) => one.name).join(", "),
        remedy: "quantise the weights only",
      },
    ),
  ]);
}
