/**
 * Builds graphs node by node. Types are inferred on the way in, so a graph that exists is well typed; equal nodes are
 * shared by structural key, so that one position table or one parameter is one node.
 */
import { internalProblem, type Problem, WeftError } from "../errors.ts";
import type { OpDefinition } from "../ops/define.ts";
import type { OpAttributes, OpName } from "../ops/names.ts";
import { formatType } from "../ops/shape.ts";
import { opTable } from "../ops/table.ts";
import type {
  Attributes,
  Graph,
  GraphNode,
  GraphOutput,
  NodeId,
  Origin,
  StateSpec,
  SymbolSpec,
  TensorType,
} from "./types.ts";

/** Ops that have an effect or an identity: two equal ones are still two. */
const distinct: ReadonlySet<OpName> = new Set(["stateRead", "stateWrite", "stateAppend"]);

export interface GraphBuilderOptions {
  /** Whether equal nodes become one; default true. */
  readonly share?: boolean;
}

export class GraphBuilder {
  readonly #share: boolean;
  readonly #nodes: GraphNode[] = [];
  readonly #shared = new Map<string, NodeId>();
  readonly #symbols = new Map<string, SymbolSpec>();
  readonly #states = new Map<string, StateSpec>();
  #origin: Origin = { path: "" };

  constructor({ share = true }: GraphBuilderOptions = {}) {
    this.#share = share;
  }

  /** The origin that following nodes get. */
  set origin(origin: Origin) {
    this.#origin = Object.freeze(origin);
  }

  get origin(): Origin {
    return this.#origin;
  }

  type(id: NodeId): TensorType {
    return this.node(id).type;
  }

  node(id: NodeId): GraphNode {
    const node = this.#nodes[id];
    if (node === undefined) {
      throw new WeftError([
        internalProblem("graph", `node ${id} must exist`, { given: `${this.#nodes.length} nodes` }),
      ]);
    }
    return node;
  }

  /**
   * Adds a node and gives its id.
   * @throws WeftError with the op's sentence when the inputs do not fit.
   */
  add<K extends OpName>(op: K, inputs: readonly NodeId[], attributes: OpAttributes[K]): NodeId {
    const key =
      !this.#share || distinct.has(op) ? undefined : `${op}(${inputs.join(",")})${attributesKey(attributes)}`;
    const present = key === undefined ? undefined : this.#shared.get(key);
    if (present !== undefined) return present;
    if (key === undefined) Object.freeze(attributes);
    const inputTypes = inputs.map((id) => this.type(id));
    const type = inferType(op, inputTypes, attributes, this.#origin);
    const id = this.#nodes.length;
    const node: GraphNode = Object.freeze({
      id,
      op,
      inputs: Object.freeze([...inputs]),
      attributes: attributes as unknown as Attributes,
      type,
      origin: this.#origin,
    });
    this.#nodes.push(node);
    soundNodes.set(node, inputTypes);
    if (key !== undefined) this.#shared.set(key, id);
    return id;
  }

  constant(value: number, dtype: "f32" | "i32" = "f32"): NodeId {
    const spelled =
      value === Number.POSITIVE_INFINITY
        ? "inf"
        : value === Number.NEGATIVE_INFINITY
          ? "-inf"
          : Number.isNaN(value)
            ? "nan"
            : value;
    return this.add("constant", [], { value: spelled, dtype });
  }

  declareSymbol(symbol: SymbolSpec): void {
    this.#symbols.set(symbol.name, symbol);
  }

  declareState(state: StateSpec): void {
    this.#states.set(state.name, state);
  }

  /** The finished graph. Symbols that axes mention are declared by themselves. */
  finish(name: string, outputs: readonly GraphOutput[]): Graph {
    for (const node of this.#nodes) {
      for (const { size } of node.type.axes) {
        if (typeof size !== "number" && !this.#symbols.has(size.symbol)) {
          this.#symbols.set(size.symbol, { name: size.symbol, max: size.max });
        }
      }
    }
    return {
      name,
      symbols: [...this.#symbols.values()],
      states: [...this.#states.values()],
      nodes: this.#nodes,
      outputs,
    };
  }
}

/** Nodes whose type was inferred here, with the input types that it was inferred from. Frozen, so they stay right. */
const soundNodes = new WeakMap<GraphNode, readonly TensorType[]>();

/** Whether a builder made this node over inputs of just these types. */
export function isSound(node: GraphNode, typeOf: (id: NodeId) => TensorType | undefined): boolean {
  return soundNodes.get(node)?.every((type, index) => typeOf(node.inputs[index]!) === type) ?? false;
}

/** The same node at another place, over the same inputs at theirs. */
export function moveNode(node: GraphNode, id: NodeId, inputs: readonly NodeId[]): GraphNode {
  const moved: GraphNode = Object.freeze({ ...node, id, inputs: Object.freeze([...inputs]) });
  const types = soundNodes.get(node);
  if (types !== undefined) soundNodes.set(moved, types);
  return moved;
}

const attributeKeys = new WeakMap<object, string>();

/** Structural key of attributes. Passes hand the same objects on, so each is spelt once; freezing keeps that true. */
function attributesKey(attributes: object): string {
  const present = attributeKeys.get(attributes);
  if (present !== undefined) return present;
  // A replacer makes the spelling several times slower, and plain numbers and strings need none.
  const plain = Object.values(attributes).every(
    (value) =>
      typeof value === "string" || (typeof value === "number" && Number.isFinite(value) && value !== 0),
  );
  const key = plain ? JSON.stringify(attributes) : JSON.stringify(attributes, spellNumber);
  attributeKeys.set(Object.freeze(attributes), key);
  return key;
}

/** JSON spells -0 as 0 and infinities as null; as parts of a key they must stay apart. */
function spellNumber(_key: string, value: unknown): unknown {
  return typeof value === "number" && (!Number.isFinite(value) || Object.is(value, -0))
    ? `number ${Object.is(value, -0) ? "-0" : value}`
    : value;
}

/** An op's type rule with its error dressed as a problem that names the op, the path and the inputs. */
export function inferType<K extends OpName>(
  op: K,
  inputs: readonly TensorType[],
  attributes: OpAttributes[K],
  origin: Origin,
): TensorType {
  const result = tryInferType(op, inputs, attributes, origin);
  if ("kind" in result) throw new WeftError([result]);
  return result;
}

/** Results of type rules by attributes, op and input types, all by identity: passes ask the same again and again. */
const inferred = new WeakMap<object, Map<string, TensorType>>();
const typeNumbers = new WeakMap<TensorType, number>();
let typesSeen = 0;

function typeNumber(type: TensorType): number {
  let number = typeNumbers.get(type);
  if (number === undefined) {
    number = typesSeen++;
    typeNumbers.set(type, number);
  }
  return number;
}

export function tryInferType<K extends OpName>(
  op: K,
  inputs: readonly TensorType[],
  attributes: OpAttributes[K],
  origin: Origin,
): TensorType | Problem {
  let known = inferred.get(attributes);
  // Only frozen values keep their meaning for sure; a hand-made graph is judged afresh each time.
  const lasting = Object.isFrozen(attributes) && inputs.every((type) => Object.isFrozen(type));
  if (!lasting) return applyRule(op, inputs, attributes, origin);
  const key = inputs.reduce((text, type) => `${text},${typeNumber(type)}`, op as string);
  const present = known?.get(key);
  if (present !== undefined) return present;
  const result = applyRule(op, inputs, attributes, origin);
  if ("kind" in result) return result;
  if (known === undefined) {
    known = new Map();
    inferred.set(attributes, known);
  }
  const type = Object.isFrozen(result)
    ? result
    : Object.freeze({ ...result, axes: Object.freeze([...result.axes]) });
  known.set(key, type);
  return type;
}

function applyRule<K extends OpName>(
  op: K,
  inputs: readonly TensorType[],
  attributes: OpAttributes[K],
  origin: Origin,
): TensorType | Problem {
  const definition: OpDefinition<K> | undefined = Object.hasOwn(opTable, op) ? opTable[op] : undefined;
  const problem = (requirement: string, given: string): Problem => ({
    kind: "user",
    source: op,
    requirement,
    given,
    path: origin.path,
    ...(origin.source === undefined ? {} : { location: origin.source }),
  });
  if (definition === undefined) return problem("the op must be in the op table", JSON.stringify(op));
  const { min, max } = definition.arity;
  if (inputs.length < min || inputs.length > max) {
    return problem(`takes ${min === max ? min : `${min} to ${max}`} inputs`, String(inputs.length));
  }
  const type = definition.infer(inputs, attributes);
  return typeof type === "string" ? problem(type, inputs.map(formatType).join(", ") || "no inputs") : type;
}
