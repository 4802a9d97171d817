/**
 * The reference interpreter: what a graph means, in plain TypeScript and double precision. Primitives run by their
 * `reference`, composites by their definition; every pass, kernel and device is judged against it.
 */
import {
  type Graph,
  type GraphNode,
  maxSize,
  type OpAttributes,
  type OpDefinition,
  opTable,
  type Problem,
  type ReferenceEnvironment,
  roundTo,
  sizeFor,
  type TensorArray,
  userProblem,
  WeftError,
} from "@weft/dsl";
import { dotArrays } from "./dot.ts";
import { expandGraph } from "./expand.ts";
import { appendState, type InterpreterState, initialState, readState, writeState } from "./state.ts";
import { resolveSymbols } from "./symbols.ts";

export interface InterpretOptions {
  /** Values of the inputs, by name. Their axes are those of the input's type, in order. */
  readonly inputs?: ReadonlyMap<string, TensorArray> | Readonly<Record<string, TensorArray>>;
  /** Weights by name. Values are rounded to the dtype in which the graph stores them. */
  readonly parameters?: (name: string) => TensorArray | undefined;
  /** Run-time symbols. One that sizes an input's axis, or is a sum, may be left out. */
  readonly symbols?: ReadonlyMap<string, number> | Readonly<Record<string, number>>;
  /** Caches and other state; the run changes it. Left out, every run starts from zeros. */
  readonly state?: InterpreterState;
  /** Called with each node of the graph (as it was given, composites included) and its value. */
  readonly observe?: (node: GraphNode, value: TensorArray) => void;
  /** Round every f32 value to f32. The default keeps doubles, so that the reference is the more exact side. */
  readonly roundF32?: boolean;
}

/**
 * Runs a graph and gives its outputs by name.
 * @throws WeftError that lists every missing or misshapen input, parameter and symbol, or names the op and the path
 * where a value does not fit (an index out of range, a full cache).
 * @example
 * const { y } = Object.fromEntries(interpret(graph, { inputs: { x }, parameters: (name) => weights.get(name) }));
 */
export function interpret(graph: Graph, options: InterpretOptions = {}): Map<string, TensorArray> {
  const inputs = toMap(options.inputs);
  const { symbols, problems } = resolveSymbols(graph, toMap(options.symbols), inputs);
  if (problems.length > 0) fail(problems);

  const { graph: primitive, images } = expandGraph(graph);
  const run: Run = {
    symbols,
    leaves: bindLeaves(primitive, inputs, options.parameters ?? (() => undefined), symbols),
    state: prepareState(graph, options.state),
  };
  const watchers = options.observe === undefined ? undefined : groupByImage(graph, images);
  const lastUse = lastUses(primitive);
  const values: (TensorArray | undefined)[] = [];
  for (const node of primitive.nodes) {
    const computed = evaluate(
      node,
      node.inputs.map((id) => values[id]!),
      run,
    );
    const value = options.roundF32 && computed.dtype === "f32" ? rounded(computed) : computed;
    values.push(value);
    for (const original of watchers?.get(node.id) ?? []) options.observe!(original, value);
    for (const id of node.inputs) if (lastUse[id] === node.id) values[id] = undefined;
  }
  return new Map(primitive.outputs.map(({ name, node }) => [name, values[node]!]));
}

interface Run extends ReferenceEnvironment {
  /** Values of inputs and parameters, by node. */
  readonly leaves: ReadonlyMap<number, TensorArray>;
  readonly state: InterpreterState;
}

function evaluate(node: GraphNode, inputs: readonly TensorArray[], run: Run): TensorArray {
  try {
    const { meaning } = opTable[node.op] as unknown as OpDefinition;
    if (node.op === "dot") {
      return dotArrays(inputs[0]!, inputs[1]!, attributesOf(node, "dot").contract);
    }
    if (meaning.tag === "reference") return meaning.reference(inputs, node.attributes as never, run);
    return evaluateInRun(node, inputs, run);
  } catch (error) {
    if (error instanceof WeftError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    return fail([problemAt(node, message.replace(`[${node.op}] `, ""))]);
  }
}

/** The ops whose meaning is outside the graph: inputs, parameters and state. */
function evaluateInRun(node: GraphNode, inputs: readonly TensorArray[], run: Run): TensorArray {
  switch (node.op) {
    case "input":
    case "parameter":
      return run.leaves.get(node.id)!;
    case "stateRead":
      return readState(stateOf(node, run), concreteAxes(node, run.symbols));
    case "stateWrite":
      writeState(stateOf(node, run), inputs[0]!);
      return inputs[0]!;
    case "stateAppend": {
      const attributes = attributesOf(node, "stateAppend");
      const past = run.symbols.get(attributes.past);
      if (past === undefined) throw new Error(`the symbol "${attributes.past}" must be given a value`);
      appendState(stateOf(node, run), inputs[0]!, attributes, past);
      return readState(stateOf(node, run), concreteAxes(node, run.symbols));
    }
    default:
      throw new Error("has no meaning of its own");
  }
}

function stateOf(node: GraphNode, { state }: Run): TensorArray {
  const name = node.attributes.state as string;
  const found = state.get(name);
  if (found === undefined) throw new Error(`the state "${name}" must be declared`);
  return found;
}

/** Fills in what a caller's state lacks, and refuses one of another shape. */
function prepareState(graph: Graph, given: InterpreterState | undefined): InterpreterState {
  const fresh = initialState(graph);
  if (given === undefined) return fresh;
  const problems: Problem[] = [];
  for (const [name, array] of fresh) {
    const present = given.get(name);
    if (present === undefined) given.set(name, array);
    else if (shape(present.axes) !== shape(array.axes)) {
      problems.push(
        userProblem("interpret", `the state "${name}" must have the axes ${shape(array.axes)}`, {
          given: shape(present.axes),
        }),
      );
    }
  }
  if (problems.length > 0) fail(problems);
  return given;
}

/** Finds the value of every input and parameter before anything is computed: all faults in one report. */
function bindLeaves(
  graph: Graph,
  inputs: ReadonlyMap<string, TensorArray>,
  parameters: (name: string) => TensorArray | undefined,
  symbols: ReadonlyMap<string, number>,
): Map<number, TensorArray> {
  const problems: Problem[] = [];
  const leaves = new Map<number, TensorArray>();
  for (const node of graph.nodes) {
    if (node.op !== "input" && node.op !== "parameter") continue;
    const name = node.attributes.name as string;
    const given = node.op === "input" ? inputs.get(name) : parameters(name);
    const expected = concreteAxes(node, symbols);
    if (given === undefined) {
      problems.push(problemAt(node, `the ${node.op} "${name}" must be given`));
    } else if (shape(given.axes) !== shape(expected) || given.data.length !== product(expected)) {
      problems.push(
        problemAt(
          node,
          `the ${node.op} "${name}" must have the axes ${shape(expected)}`,
          `${shape(given.axes)} with ${given.data.length} values`,
        ),
      );
    } else {
      const { dtype } = node.type;
      leaves.set(
        node.id,
        given.dtype === dtype
          ? given
          : { ...given, dtype, data: given.data.map((value) => roundTo(dtype, value)) },
      );
    }
  }
  if (problems.length > 0) fail(problems);
  return leaves;
}

/** Which nodes of the original graph have their value computed by which primitive node. */
function groupByImage(graph: Graph, images: readonly number[]): Map<number, GraphNode[]> {
  const groups = new Map<number, GraphNode[]>();
  for (const node of graph.nodes) {
    const image = images[node.id]!;
    groups.set(image, [...(groups.get(image) ?? []), node]);
  }
  return groups;
}

/** The last node that reads each value, so that a value's memory can go; outputs stay. */
function lastUses(graph: Graph): number[] {
  const last: number[] = [];
  for (const node of graph.nodes) for (const id of node.inputs) last[id] = node.id;
  for (const { node } of graph.outputs) last[node] = graph.nodes.length;
  return last;
}

function rounded(array: TensorArray): TensorArray {
  return { ...array, data: array.data.map(Math.fround) };
}

function attributesOf<K extends keyof OpAttributes>(node: GraphNode, _op: K): OpAttributes[K] {
  return node.attributes as unknown as OpAttributes[K];
}

function concreteAxes(node: GraphNode, symbols: ReadonlyMap<string, number>): TensorArray["axes"] {
  return node.type.axes.map(({ name, size }) => ({
    name,
    size: Math.min(sizeFor(size, symbols), maxSize(size)),
  }));
}

function toMap<T>(given: ReadonlyMap<string, T> | Readonly<Record<string, T>> | undefined): Map<string, T> {
  if (given === undefined) return new Map();
  return new Map(given instanceof Map ? given : Object.entries(given as Record<string, T>));
}

function product(axes: TensorArray["axes"]): number {
  return axes.reduce((count, one) => count * one.size, 1);
}

function shape(axes: TensorArray["axes"]): string {
  return `[${axes.map((one) => `${one.name}=${one.size}`).join(", ")}]`;
}

function problemAt(node: GraphNode, requirement: string, given?: string): Problem {
  const { path, source } = node.origin;
  return userProblem(node.op, requirement, {
    path,
    ...(given === undefined ? {} : { given }),
    ...(source === undefined ? {} : { location: source }),
  });
}

function fail(problems: readonly Problem[]): never {
  const [first, ...rest] = problems;
  throw new WeftError([first!, ...rest]);
}
