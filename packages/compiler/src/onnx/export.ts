/**
 * A graph of primitives as an ONNX graph of standard operators. States that are appended to, a KV cache, become inputs
 * with what was before and outputs with the new rows behind it, of any length; symbols are read from shapes.
 */
import {
  type Dtype,
  type Graph,
  type GraphNode,
  type OpAttributes,
  type OpName,
  type Problem,
  type Problems,
  type TensorType,
  unsupportedProblem,
} from "@weft/dsl";
import { type Either, left } from "fp-ts/lib/Either.js";
import { attempt, placeOf } from "../passes/pass.ts";
import { attributesOf } from "../passes/rewrite.ts";
import { onnxRules, type Site } from "./rules.ts";
import {
  type NarrowDtype,
  type OnnxDimension,
  type OnnxDtype,
  type OnnxGraph,
  type OnnxOptions,
  type OnnxValue,
  type OnnxWeight,
  onnxOpset,
} from "./types.ts";
import { OnnxWriter, type Tensor } from "./writer.ts";

/**
 * @param graph after `decompose(keepForOnnx)`
 * @returns on the left, each op and dtype that standard ONNX cannot say, with the path of its block.
 */
export function graphToOnnx(graph: Graph, options: OnnxOptions = {}): Either<Problems, OnnxGraph> {
  const [first, ...rest] = refusalsOf(graph, options);
  if (first !== undefined) return left([first, ...rest]);
  return attempt("onnx", () => new GraphExport(graph, options).run());
}

/** Composites that ONNX has an operator of the same meaning for; the others must be decomposed. */
export const keepForOnnx = (op: OpName): boolean => op === "softmax";

function refusalsOf(graph: Graph, options: OnnxOptions): readonly Problem[] {
  const problems: Problem[] = [];
  const refuse = (node: GraphNode, requirement: string, given: string) => {
    const remedy = "export a model without it";
    problems.push(unsupportedProblem("onnx", requirement, { given, path: placeOf(node), remedy }));
  };
  const known = new Set([
    ...graph.nodes.flatMap((node) => (node.op === "input" ? symbolsOf(node.type) : [])),
    ...graph.nodes.flatMap((node) =>
      node.op === "stateAppend" ? [attributesOf(node, "stateAppend").past] : [],
    ),
    ...Object.keys(options.symbols ?? {}),
  ]);
  for (const { name, sum } of graph.symbols) if (sum?.every((one) => known.has(one))) known.add(name);
  const appended = new Set<string>();
  for (const node of graph.nodes) {
    const state = node.op === "stateAppend" ? attributesOf(node, "stateAppend").state : undefined;
    if (state !== undefined && appended.has(state))
      refuse(node, "a state must be appended to once in a run", state);
    if (state !== undefined) appended.add(state);
    if (state !== undefined && !isWholePast(graph, node))
      refuse(node, "what a cache gives must be all of its past and the new rows", state);
    const rule = onnxRules[node.op];
    if (typeof rule === "object") refuse(node, `ONNX cannot say ${node.op}: ${rule.refused}`, node.op);
    if (isNarrow(node.type.dtype))
      refuse(node, "standard ONNX operators do not compute with this dtype", node.type.dtype);
    const symbol = node.op === "symbol" ? attributesOf(node, "symbol").name : undefined;
    if (symbol !== undefined && !known.has(symbol))
      refuse(node, "a symbol must be the size of an input's axis or given", symbol);
  }
  return problems;
}

/** Whether an append gives the past and its rows, no more and no less: then it is a concatenation. */
function isWholePast({ nodes, symbols }: Graph, node: GraphNode): boolean {
  const { axis, into, past } = attributesOf(node, "stateAppend");
  const rows = nodes[node.inputs[0]!]!.type.axes.find(({ name }) => name === axis)?.size;
  const given = node.type.axes.find(({ name }) => name === into)?.size;
  if (typeof rows !== "object" || typeof given !== "object") return false;
  const sum = symbols.find(({ name }) => name === given.symbol)?.sum;
  return sum?.length === 2 && sum.includes(past) && sum.includes(rows.symbol);
}

const symbolsOf = ({ axes }: TensorType) =>
  axes.flatMap(({ size }) => (typeof size === "number" ? [] : [size.symbol]));

class GraphExport {
  readonly #graph: Graph;
  readonly #options: OnnxOptions;
  readonly #writer: OnnxWriter;
  readonly #inputs: OnnxValue[] = [];
  readonly #outputs: OnnxValue[] = [];
  readonly #presents: OnnxValue[] = [];
  readonly #weights: OnnxWeight[] = [];
  /** Where a symbol's value is read: an input and its dimension. */
  readonly #sources = new Map<string, { readonly input: string; readonly at: number }>();
  readonly #symbols = new Map<string, string>();
  readonly #tensors: Tensor[] = [];
  readonly #batch: number;

  constructor(graph: Graph, options: OnnxOptions) {
    this.#graph = graph;
    this.#options = options;
    this.#batch = options.batch === true ? 1 : 0;
    this.#writer = new OnnxWriter((name) => this.#symbol(name));
  }

  run(): OnnxGraph {
    const { name, nodes, outputs } = this.#graph;
    // Shapes are known before anything asks for them, whatever the order of the nodes.
    const pasts = new Map<number, string>();
    for (const node of nodes) {
      if (node.op === "input") this.#declareInput(node);
      if (node.op === "stateAppend") pasts.set(node.id, this.#declarePast(node));
    }
    for (const node of nodes) {
      this.#writer.path = node.origin.path;
      this.#tensors.push({ name: this.#name(node, pasts), type: node.type });
    }
    this.#writer.path = "";
    for (const output of outputs)
      this.#outputs.push(this.#output(this.#outerName(output.name), this.#tensors[output.node]!));
    const { nodes: written, constants } = this.#writer;
    return {
      name,
      opset: onnxOpset,
      inputs: this.#inputs,
      outputs: [...this.#outputs, ...this.#presents],
      nodes: written,
      constants,
      weights: this.#weights,
    };
  }

  #name(node: GraphNode, pasts: ReadonlyMap<number, string>): string {
    const inputs = node.inputs.map((id) => this.#tensors[id]!);
    switch (node.op) {
      case "input":
        return this.#readInput(node);
      case "parameter":
        return this.#weight(attributesOf(node, "parameter"));
      case "symbol": {
        const scalar = this.#writer.node("Squeeze", [this.#symbol(attributesOf(node, "symbol").name)]);
        return this.#writer.castTo(scalar, "i32");
      }
      case "stateAppend":
        return this.#append(node, inputs[0]!, pasts.get(node.id)!);
      default:
        return applyRule(node.op, {
          writer: this.#writer,
          inputs,
          attributes: node.attributes as unknown as OpAttributes[OpName],
          type: node.type,
        });
    }
  }

  #declareInput({ attributes, type }: GraphNode): void {
    const name = this.#outerName(attributes.name as string);
    type.axes.forEach(({ size }, at) => {
      if (typeof size !== "number" && !this.#sources.has(size.symbol))
        this.#sources.set(size.symbol, { input: name, at: at + this.#batch });
    });
    this.#inputs.push({ name, dtype: borderDtype(type.dtype), dimensions: this.#dimensions(type) });
  }

  #outerName(name: string): string {
    return this.#options.rename?.[name] ?? name;
  }

  #readInput({ attributes, type }: GraphNode): string {
    return this.#fromBorder(this.#outerName(attributes.name as string), type.dtype);
  }

  #declarePast(node: GraphNode): string {
    const { state, into, past, dtype } = attributesOf(node, "stateAppend");
    const { past: name } = this.#stateNames(state);
    const axes = node.type.axes.map((one) =>
      one.name === into ? { name: into, size: { symbol: past, max: 1 } } : one,
    );
    const at = axes.findIndex((one) => one.name === into);
    if (!this.#sources.has(past)) this.#sources.set(past, { input: name, at: at + this.#batch });
    this.#inputs.push({ name, dtype: borderDtype(dtype), dimensions: this.#dimensions({ dtype, axes }) });
    return name;
  }

  #stateNames(state: string): { readonly past: string; readonly present: string } {
    return this.#options.stateNames?.(state) ?? { past: state, present: `${state}.next` };
  }

  /** The rows behind those of the past; both together are what attention reads and what the next run begins with. */
  #append(node: GraphNode, x: Tensor, past: string): string {
    const { axis, into, state, dtype } = attributesOf(node, "stateAppend");
    const along = x.type.axes.find((one) => one.name === axis)!;
    const rows = this.#writer.transpose(
      this.#writer.cast(x, dtype),
      node.type.axes.map((one) => (one.name === into ? along : one)),
    );
    const at = node.type.axes.findIndex((one) => one.name === into);
    const name = this.#writer.node("Concat", [this.#fromBorder(past, dtype), rows.name], { axis: at });
    this.#presents.push(this.#output(this.#stateNames(state).present, { name, type: node.type }));
    return name;
  }

  #weight({ name, dtype, axes }: OpAttributes["parameter"]): string {
    const dimensions = axes.map(({ size }) => size as number);
    this.#weights.push({ name, dtype: dtype as OnnxWeight["dtype"], dimensions });
    return name;
  }

  #output(name: string, { name: value, type }: Tensor): OnnxValue {
    const wide = type.dtype === "i32" ? this.#writer.castTo(value, "i64") : value;
    if (this.#batch === 0) this.#writer.node("Identity", [wide], {}, name);
    else this.#writer.node("Unsqueeze", [wide, this.#writer.constant("i64", [0])], {}, name);
    return { name, dtype: borderDtype(type.dtype), dimensions: this.#dimensions(type) };
  }

  /** What comes in as the graph has it: without a batch, and indices in i32. */
  #fromBorder(name: string, dtype: Dtype): string {
    const own =
      this.#batch === 0 ? name : this.#writer.node("Squeeze", [name, this.#writer.constant("i64", [0])]);
    return dtype === "i32" ? this.#writer.castTo(own, "i32") : own;
  }

  #dimensions({ axes }: TensorType): readonly OnnxDimension[] {
    const own = axes.map(({ size }) =>
      typeof size === "number" ? size : (this.#options.dimension?.(size.symbol) ?? size.symbol),
    );
    return this.#batch === 1 ? [1, ...own] : own;
  }

  /** A symbol's value as i64[1]. */
  #symbol(name: string): string {
    const present = this.#symbols.get(name);
    if (present !== undefined) return present;
    const made = this.#makeSymbol(name);
    this.#symbols.set(name, made);
    return made;
  }

  #makeSymbol(name: string): string {
    const fixed = this.#options.symbols?.[name];
    if (fixed !== undefined) return this.#writer.constant("i64", [fixed]);
    const sum = this.#graph.symbols.find((one) => one.name === name)?.sum;
    if (sum !== undefined)
      return sum.map((one) => this.#symbol(one)).reduce((a, b) => this.#writer.node("Add", [a, b]));
    const { input, at } = this.#sources.get(name)!;
    return this.#writer.node("Shape", [input], { start: at, end: at + 1 });
  }
}

const isNarrow = (dtype: Dtype): dtype is NarrowDtype =>
  dtype === "nvfp4" || dtype === "f8e4m3" || dtype === "i8";

/** The dtype of inputs and outputs: others give and take indices as i64. */
const borderDtype = (dtype: Dtype): OnnxDtype => (dtype === "i32" ? "i64" : (dtype as OnnxDtype));

function applyRule<K extends OpName>(op: K, site: Site<K>): string {
  const rule = onnxRules[op];
  if (typeof rule === "function") return (rule as (site: Site<K>) => string)(site);
  // Refused ops are told before anything is written.
  throw new Error(`no ONNX rule for ${op}`);
}
