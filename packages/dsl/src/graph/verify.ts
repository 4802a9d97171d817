/**
 * The rules of the graph IR, checked on any object: what a pass hands on, and what a file or a hand has written. All
 * independent problems are reported together; nothing is ever thrown.
 */
import { type Either, left, right } from "fp-ts/lib/Either.js";
import type { Axis } from "../axis.ts";
import { type Problem, type Problems, userProblem } from "../errors.ts";
import { nearestName } from "../nearest.ts";
import type { OpName } from "../ops/names.ts";
import { formatType, typeEquals } from "../ops/shape.ts";
import { opNames, opTable } from "../ops/table.ts";
import { attributeChecks, tensorType } from "./attributes.ts";
import { isSound, tryInferType } from "./builder.ts";
import { integer, isRecord, listOf, recordOf, remembered, show, text } from "./check.ts";
import type { Graph, GraphNode, Origin, StateSpec, SymbolSpec, TensorType } from "./types.ts";
import { checkStateUse } from "./verify-state.ts";

/**
 * Checks a graph: ids are indices and inputs point backward; ops, attributes and types are what the op table says;
 * symbols and states are declared and agree with their uses; names of inputs, parameters and outputs mean one thing.
 * @example pipe(verifyGraph(JSON.parse(text)), E.match(formatProblems, printGraph));
 */
export function verifyGraph(graph: unknown): Either<Problems, Graph> {
  const problems: Problem[] = [];
  try {
    new Verifier(problems).graph(graph);
  } catch (error) {
    // Only an absurd object comes here: nested so deeply that the stack ends, or with getters that throw.
    problems.push(
      userProblem("graph", "the graph must be plain data that can be read", { given: String(error) }),
    );
  }
  const [first, ...rest] = problems;
  return first === undefined ? right(graph as Graph) : left([first, ...rest]);
}

// A bound of 0: the past of a cache that has room for one token.
const symbolSpec = recordOf({ name: text, max: integer(0), sum: listOf(text) }, ["sum"]);
const stateSpec = recordOf({ name: text, type: tensorType });
const outputSpec = recordOf({ name: text, node: integer(0) });
const originSpec = remembered(
  recordOf({ path: text, source: text, composite: text }, ["source", "composite"]),
);

class Verifier {
  readonly #problems: Problem[];
  readonly #symbols = new Map<string, SymbolSpec>();
  readonly #states = new Map<string, StateSpec>();
  /** The declared type of each node, where it can be read. */
  #types: (TensorType | undefined)[] = [];
  /** Inputs that stand behind their reader, for which a cycle was looked for. */
  #searches = 0;
  /** The first input or parameter of each name. */
  readonly #named = new Map<string, { readonly type: TensorType; readonly index: number }>();

  constructor(problems: Problem[]) {
    this.#problems = problems;
  }

  graph(graph: unknown): void {
    if (!isRecord(graph)) {
      this.#report("graph", `the graph must be an object, not ${show(graph)}`);
      return;
    }
    const sentence = text(graph.name, "the graph's name");
    if (sentence !== undefined) this.#report("graph", sentence);
    this.#declare(graph, "symbols", symbolSpec, this.#symbols);
    this.#checkSums();
    this.#declare(graph, "states", stateSpec, this.#states);
    for (const state of this.#states.values())
      this.#checkSymbols(`state "${state.name}"`, state.type.axes, () => ({}));
    const nodes = this.#list(graph, "nodes");
    this.#types = nodes.map((node) => {
      const type = isRecord(node) ? node.type : undefined;
      return tensorType(type, "type") === undefined ? (type as TensorType) : undefined;
    });
    for (const [index, node] of nodes.entries()) this.#checkNode(node, index, nodes);
    this.#checkOutputs(graph, nodes.length);
  }

  #report(
    source: string,
    requirement: string,
    rest: Omit<Problem, "kind" | "source" | "requirement"> = {},
  ): void {
    this.#problems.push(userProblem(source, requirement, rest));
  }

  #list(graph: Readonly<Record<string, unknown>>, key: string): readonly unknown[] {
    const value = graph[key];
    if (Array.isArray(value)) return value;
    this.#report("graph", `the graph's ${key} must be a list, not ${show(value)}`);
    return [];
  }

  #declare<T extends { readonly name: string }>(
    graph: Readonly<Record<string, unknown>>,
    key: string,
    check: (value: unknown, at: string) => string | undefined,
    into: Map<string, T>,
  ): void {
    // By number, because a list may have holes, which forEach passes over.
    for (const [index, value] of this.#list(graph, key).entries()) {
      const sentence = check(value, `${key}[${index}]`);
      const name = sentence === undefined ? (value as T).name : "";
      if (sentence !== undefined) this.#report("graph", sentence);
      else if (into.has(name)) this.#report("graph", `${key} must not declare ${show(name)} twice`);
      else into.set(name, value as T);
    }
  }

  #checkSums(): void {
    for (const { name, sum } of this.#symbols.values()) {
      if (sum === undefined) continue;
      if (sum.length === 0)
        this.#report("graph", `the symbol ${show(name)} must be a sum of at least one other`);
      for (const part of sum) {
        if (!this.#symbols.has(part)) this.#reportUnknown("graph", "symbol", part, [...this.#symbols.keys()]);
      }
      if (this.#dependsOn(name, name, new Set())) {
        this.#report("graph", `the symbol ${show(name)} must not be a part of its own sum`);
      }
    }
  }

  #dependsOn(name: string, target: string, seen: Set<string>): boolean {
    if (seen.has(name)) return false;
    seen.add(name);
    const parts = this.#symbols.get(name)?.sum ?? [];
    return parts.some((part) => part === target || this.#dependsOn(part, target, seen));
  }

  #reportUnknown(
    source: string,
    what: string,
    name: string,
    known: readonly string[],
    place: Place = {},
  ): void {
    const near = nearestName(name, known);
    this.#report(source, `the ${what} must be declared`, {
      given: show(name),
      ...place,
      ...(near === undefined ? {} : { remedy: `did you mean ${show(near)}?` }),
    });
  }

  /** Symbolic sizes name declared symbols and agree with their bounds. */
  #checkSymbols(source: string, axes: readonly Axis[], place: () => Place): void {
    for (const { name, size } of axes) {
      if (typeof size === "number") continue;
      const declared = this.#symbols.get(size.symbol);
      if (declared === undefined) {
        this.#reportUnknown(
          source,
          `symbol of axis "${name}"`,
          size.symbol,
          [...this.#symbols.keys()],
          place(),
        );
      } else if (declared.max !== size.max) {
        this.#report(
          source,
          `axis "${name}" must have the bound of its symbol "${size.symbol}", ${declared.max}`,
          {
            given: String(size.max),
            ...place(),
          },
        );
      }
    }
  }

  #checkNode(node: unknown, index: number, nodes: readonly unknown[]): void {
    if (!isRecord(node)) {
      this.#report("graph", `node ${index} must be an object, not ${show(node)}`);
      return;
    }
    if (this.#isKnown(node as unknown as GraphNode, index)) return;
    // Spelt only for a report: most graphs are right, and each pass asks again.
    const place = () => placeOf(node.origin, index);
    const before = this.#problems.length;
    const source = typeof node.op === "string" ? node.op : "graph";
    const report = (sentence: string | undefined) => {
      if (sentence !== undefined) this.#report(source, sentence, place());
    };
    report(originSpec(node.origin, "the origin"));
    if (node.id !== index) report(`a node's id must be its index, ${index}, not ${show(node.id)}`);
    report(tensorType(node.type, "the type"));
    this.#checkInputs(node, index, nodes, report);
    if (!isOp(node.op)) {
      const near = typeof node.op === "string" ? nearestName(node.op, opNames) : undefined;
      this.#report("graph", "the op must be in the op table", {
        given: show(node.op),
        ...place(),
        ...(near === undefined ? {} : { remedy: `did you mean "${near}"?` }),
      });
      return;
    }
    report(attributeChecks[node.op](node.attributes, "the attributes"));
    // With any of these at fault, the op's own rule has nothing to stand on.
    if (this.#problems.length > before) return;
    this.#checkTyped(node as unknown as GraphNode, place);
  }

  /** A node that a builder made needs no second inference where its inputs are still what they were. */
  #isKnown(node: GraphNode, index: number): boolean {
    const sound =
      node.id === index &&
      isSound(node, (id) => this.#types[id]) &&
      node.inputs.every((id) => id < index) &&
      attributeChecks[node.op](node.attributes, "") === undefined;
    if (!sound) return false;
    const place = () => placeOf(node.origin, index);
    this.#checkSymbols(node.op, node.type.axes, place);
    this.#checkNames(node, place);
    return true;
  }

  #checkInputs(
    node: Readonly<Record<string, unknown>>,
    index: number,
    nodes: readonly unknown[],
    report: (sentence: string | undefined) => void,
  ): void {
    const sentence = listOf(integer(0))(node.inputs, "the inputs");
    report(sentence);
    if (sentence !== undefined) return;
    for (const id of node.inputs as readonly number[]) {
      if (id >= nodes.length) report(`reads %${id}, which must exist; there are ${nodes.length} nodes`);
      else if (id >= index) {
        const cycle = this.#searches++ < mostSearches ? cyclePath(nodes, id, index) : undefined;
        report(
          cycle === undefined
            ? `reads %${id}, which must stand before it`
            : `must not depend on itself: ${describeCycle(cycle)}`,
        );
      }
    }
  }

  /** The rules of a node whose parts are in order: its type, and the names that it uses. */
  #checkTyped(node: GraphNode, place: () => Place): void {
    this.#checkSymbols(node.op, node.type.axes, place);
    const inputs = node.inputs.map((id) => this.#types[id]);
    // An input without a type has its own report.
    if (!inputs.every((type) => type !== undefined)) return;
    const inferred = tryInferType(node.op, inputs, node.attributes as never, node.origin);
    if ("kind" in inferred) {
      this.#problems.push({ ...inferred, ...place() });
    } else if (!typeEquals(inferred, node.type)) {
      this.#report(node.op, `the type must be ${formatType(inferred)}`, {
        given: formatType(node.type),
        ...place(),
      });
    } else this.#checkNames(node, place);
  }

  #checkNames(node: GraphNode, place: () => Place): void {
    const name = node.attributes.name as string;
    if (node.op === "input" || node.op === "parameter") {
      const key = `${node.op} ${name}`;
      const first = this.#named.get(key);
      if (first === undefined) this.#named.set(key, { type: node.type, index: node.id });
      else if (!typeEquals(first.type, node.type)) {
        this.#report(
          node.op,
          `${show(name)} must have one type, ${formatType(first.type)} at %${first.index}`,
          {
            given: formatType(node.type),
            ...place(),
          },
        );
      }
    } else if (node.op === "symbol") {
      if (!this.#symbols.has(name))
        this.#reportUnknown("symbol", "symbol", name, [...this.#symbols.keys()], place());
    } else if (opTable[node.op].category === "state") {
      const input = node.inputs.map((id) => this.#types[id]!);
      for (const problem of checkStateUse(node, input, this.#states, this.#symbols)) {
        this.#problems.push({ ...problem, ...place() });
      }
    }
  }

  #checkOutputs(graph: Readonly<Record<string, unknown>>, count: number): void {
    const outputs = new Map<string, { readonly name: string; readonly node: number }>();
    this.#declare(graph, "outputs", outputSpec, outputs);
    for (const { name, node } of outputs.values()) {
      if (node >= count) {
        this.#report(
          "graph",
          `the output ${show(name)} is %${node}, which must exist; there are ${count} nodes`,
        );
      }
    }
  }
}

type Place = Pick<Problem, "path" | "location">;

function placeOf(origin: unknown, index: number): Place {
  const { path, source } = (isRecord(origin) ? origin : {}) as Partial<Origin>;
  const known = typeof path === "string" && path !== "" ? `${path} %${index}` : `%${index}`;
  return { path: known, ...(typeof source === "string" ? { location: source } : {}) };
}

function isOp(op: unknown): op is OpName {
  return typeof op === "string" && Object.hasOwn(opTable, op);
}

/** A search may go through the whole graph, and each node of a list that stands backward asks for one. */
const mostSearches = 16;

/** Nodes of a cycle that are named from its beginning; of a longer one how many there are is said. */
const mostNamed = 8;

function describeCycle(cycle: readonly number[]): string {
  const named = (ids: readonly number[]) => ids.map((id) => `%${id}`).join(" reads ");
  if (cycle.length <= mostNamed + 2) return named(cycle);
  const between = cycle.length - mostNamed - 1;
  return `${named(cycle.slice(0, mostNamed))} reads ... (${between} more) reads %${cycle.at(-1)!}`;
}

/** The way by which `from` comes to read `target`, if it does: a list of nodes that begins and ends with the target. */
function cyclePath(nodes: readonly unknown[], from: number, target: number): readonly number[] | undefined {
  const reader = new Map<number, number>([[from, target]]);
  const pending = [from];
  for (let id = pending.pop(); id !== undefined; id = pending.pop()) {
    if (id === target) {
      const path = [target];
      for (let at = reader.get(target)!; at !== target; at = reader.get(at)!) path.push(at);
      return [...path, target].reverse();
    }
    const node = nodes[id];
    for (const input of isRecord(node) && Array.isArray(node.inputs) ? node.inputs : []) {
      if (typeof input !== "number" || reader.has(input)) continue;
      reader.set(input, id);
      pending.push(input);
    }
  }
  return undefined;
}
