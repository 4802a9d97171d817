/**
 * A graph as a TypeScript module that builds it again: one line for each node, variables named after paths, equal
 * layers as a loop. A loop is written only where all its turns have one text, so what is read is what is built.
 */
import type { Axis } from "../../axis.ts";
import type { OpAttributes } from "../../ops/names.ts";
import { GraphBuilder } from "../builder.ts";
import type { AttributeValue, Graph, GraphNode, NodeId, Origin } from "../types.ts";
import {
  isAxis,
  numberLiteral,
  printLiteral,
  templateLiteral,
  textLiteral,
  VariableNames,
} from "./literal.ts";
import { type Loop, loopsOf } from "./loops.ts";

/**
 * A verified graph as the source of a module whose default export is an equal graph, origins included.
 * @throws WeftError where the graph's nodes do not fit their inputs.
 * @example
 * writeFileSync("graph.ts", graphToTypeScript(graph));
 * // import { axis, GraphBuilder } from "@weft/dsl";
 * // const builder = new GraphBuilder();
 * // const hidden = axis("hidden", 4);
 * // const x = builder.add("input", [], { name: "x", dtype: "f32", axes: [hidden] });
 * // const y = builder.add("tanh", [x], {});
 * // export default builder.finish("example", [{ name: "y", node: y }]);
 */
export function graphToTypeScript(graph: Graph): string {
  return new SourceWriter(graph).module();
}

/** One turn of a loop while it is written. */
interface Turn {
  readonly loop: Loop;
  readonly number: number;
  readonly counter: string;
  /** The variables of the turn's nodes, by place. */
  readonly own: readonly string[];
  /** The variables of what the turn before handed on, by place. */
  readonly handed: ReadonlyMap<number, string>;
}

const builderName = "builder";

class SourceWriter {
  readonly #graph: Graph;
  readonly #names = new VariableNames(["axis", "GraphBuilder", builderName]);
  readonly #axes = new Map<string, { readonly name: string; readonly line: string }>();
  /** The variable of each node that code outside of loops can read. */
  readonly #variables = new Map<NodeId, string>();
  readonly #body: string[] = [];
  /** The origin that the builder has at this line, as text; undefined behind a loop. */
  #origin: string | undefined = originText({ path: "" }, textLiteral);

  constructor(graph: Graph) {
    this.#graph = graph;
  }

  module(): string {
    const { name, nodes, outputs, symbols, states } = this.#graph;
    this.#nameAxes();
    const loops = loopsOf(this.#graph);
    for (let id = 0; id < nodes.length; ) {
      const loop = loops.get(id);
      id +=
        loop !== undefined && this.#writeLoop(loop) ? loop.turns.flat().length : this.#writePlain(nodes[id]!);
    }
    const declarations = [
      ...symbols.map((symbol) => `${builderName}.declareSymbol(${this.#literal({ ...symbol })});`),
      ...states.map(
        ({ name: state, type }) =>
          `${builderName}.declareState(${this.#literal({ name: state, type: { ...type } })});`,
      ),
    ];
    const results = outputs.map(
      (one) => `  { name: ${textLiteral(one.name)}, node: ${this.#variables.get(one.node)!} },\n`,
    );
    // Equal nodes become one unless the builder is told otherwise.
    const options = hasEqualNodes(this.#graph) ? "{ share: false }" : "";
    const lines = [
      "// A graph as source: running this module builds it again, node by node.",
      `import { ${usesAxis(this.#axes) ? "axis, " : ""}GraphBuilder } from "@weft/dsl";`,
      "",
      `const ${builderName} = new GraphBuilder(${options});`,
      "",
      ...[...this.#axes.values()].map(({ line }) => line),
      ...declarations,
      ...this.#body,
      "",
      `export default ${builderName}.finish(${textLiteral(name)}, [${results.length === 0 ? "" : `\n${results.join("")}`}]);`,
    ];
    return `${lines.join("\n")}\n`;
  }

  #writePlain(node: GraphNode): 1 {
    const variable = this.#names.take(...wishesFor(node));
    this.#writeOrigin(originText(node.origin, textLiteral), "");
    this.#body.push(`const ${variable} = ${this.#call(node)};`);
    this.#variables.set(node.id, variable);
    return 1;
  }

  /** Writes a loop, if all its turns have one text. */
  #writeLoop(loop: Loop): boolean {
    const { turns, first, prefix } = loop;
    const [body] = turns;
    const texts = (counter: string, own: readonly string[], handed: ReadonlyMap<number, string>) =>
      turns.map((nodes, index) => {
        const turn: Turn = { loop, number: first + index, counter, own, handed };
        return nodes.map((node, place) => this.#turnLine(node, place, turn));
      });
    // Tried with placeholders first, so that a loop that does not come about takes no names.
    const places = body!.map((_, place) => `$${place}`);
    const tried = texts("$", places, new Map([...loop.carried.keys()].map((place) => [place, `$$${place}`])));
    if (tried.some((text) => text.join("\n") !== tried[0]!.join("\n"))) return false;
    const counter = this.#names.take(singular(prefix), "layer");
    const own = body!.map((node) => this.#names.take(...wishesFor(node, prefix)));
    const handed = new Map(
      [...loop.carried.keys()].map((place) => [place, this.#names.take("stream", `${own[place]!}Before`)]),
    );
    const lines = texts(counter, own, handed)[0]!;
    this.#body.push("", `// ${textLiteral(`${prefix}*`).slice(1, -1)}: ${turns.length} equal turns`);
    for (const [place, id] of loop.carried)
      this.#body.push(`let ${handed.get(place)!} = ${this.#variables.get(id)!};`);
    const end = first + turns.length;
    this.#body.push(`for (let ${counter} = ${first}; ${counter} < ${end}; ${counter}++) {`);
    this.#origin = undefined;
    for (const [place, line] of lines.entries()) {
      this.#writeOrigin(line.origin, "  ");
      this.#body.push(`  const ${own[place]!} = ${line.call};`);
    }
    for (const [place, variable] of handed) {
      this.#body.push(`  ${variable} = ${own[place]!};`);
      this.#variables.set(turns.at(-1)![place]!.id, variable);
    }
    this.#body.push("}");
    this.#origin = undefined;
    return true;
  }

  #turnLine(
    node: GraphNode,
    place: number,
    turn: Turn,
  ): { origin: string; call: string; toString(): string } {
    const { prefix, turns, handed } = turn.loop;
    const start = `${prefix}${turn.number}`;
    const text = (value: string) =>
      value === start || value.startsWith(`${start}.`)
        ? templateLiteral(prefix, turn.counter, value.slice(start.length))
        : textLiteral(value);
    const begin = turns[turn.number - turn.loop.first]![0]!.id;
    const reference = (id: NodeId, input: number) => {
      if (id >= begin) return turn.own[id - begin]!;
      const from = handed(place, input);
      return (from === undefined ? undefined : turn.handed.get(from)) ?? this.#variables.get(id)!;
    };
    const origin = originText(node.origin, text);
    const call = this.#call(node, text, reference);
    return { origin, call, toString: () => `${origin} ${call}` };
  }

  #call(
    node: GraphNode,
    text: (value: string) => string = textLiteral,
    reference: (id: NodeId, input: number) => string = (id) => this.#variables.get(id)!,
  ): string {
    if (node.op === "constant") {
      const { value, dtype } = node.attributes as unknown as OpAttributes["constant"];
      const number = typeof value === "number" ? value : Number(value.replace("inf", "Infinity"));
      if (dtype === "f32") return `${builderName}.constant(${numberLiteral(number)})`;
      if (dtype === "i32") return `${builderName}.constant(${numberLiteral(number)}, "i32")`;
    }
    const inputs = node.inputs.map(reference).join(", ");
    return `${builderName}.add(${textLiteral(node.op)}, [${inputs}], ${this.#literal(node.attributes, text)})`;
  }

  #writeOrigin(origin: string, indent: string): void {
    if (origin === this.#origin) return;
    // A line of air between the blocks of a graph, as between the paragraphs of a text.
    if (indent === "" || this.#origin !== undefined) this.#body.push("");
    this.#body.push(`${indent}${builderName}.origin = ${origin};`);
    this.#origin = origin;
  }

  #literal(value: AttributeValue | object, text: (value: string) => string = textLiteral): string {
    return printLiteral(value as AttributeValue, { text, axis: (one) => this.#axes.get(axisKey(one))!.name });
  }

  /** Every axis of the graph gets a variable, in the order of first use. */
  #nameAxes(): void {
    const visit = (value: unknown): void => {
      if (isAxis(value)) this.#nameAxis(value);
      else if (typeof value === "object" && value !== null) Object.values(value).forEach(visit);
    };
    for (const { type } of this.#graph.states) visit(type);
    for (const { attributes } of this.#graph.nodes) visit(attributes);
  }

  #nameAxis(one: Axis): void {
    const key = axisKey(one);
    if (this.#axes.has(key)) return;
    const { name, size } = one;
    const bound = typeof size === "number" ? size : size.max;
    const variable = this.#names.take(name, `${name} ${bound}`, `${name} axis`);
    const sizeText =
      typeof size === "number"
        ? numberLiteral(size)
        : `{ symbol: ${textLiteral(size.symbol)}, max: ${numberLiteral(size.max)} }`;
    // Passes may make names that a user could not.
    const isPlain = /^[A-Za-z_][\w:']*$/.test(name) && Number.isSafeInteger(bound) && bound >= 1;
    const line = isPlain
      ? `axis(${textLiteral(name)}, ${sizeText})`
      : `{ name: ${textLiteral(name)}, size: ${sizeText} }`;
    this.#axes.set(key, { name: variable, line: `const ${variable} = ${line};` });
  }
}

const axisKey = ({ name, size }: Axis) =>
  JSON.stringify(typeof size === "number" ? [name, numberLiteral(size)] : [name, size.symbol, size.max]);

const usesAxis = (axes: ReadonlyMap<string, { readonly line: string }>) =>
  [...axes.values()].some(({ line }) => line.includes(" = axis("));

function originText({ path, source, composite }: Origin, text: (value: string) => string): string {
  const parts = [`path: ${text(path)}`];
  if (source !== undefined) parts.push(`source: ${text(source)}`);
  if (composite !== undefined) parts.push(`composite: ${text(composite)}`);
  return `{ ${parts.join(", ")} }`;
}

/** What a node's variable could be called: by its path, then with its op. In a loop, only what is behind the number. */
function wishesFor(node: GraphNode, prefix = ""): readonly string[] {
  const { name } = node.attributes;
  const named = typeof name === "string" ? name : "";
  if (node.op === "input") return [named, `${named} input`];
  const numbered = /(?:^|\.)(\d+)(?:\.|$)/.exec(node.op === "parameter" ? named : node.origin.path);
  const number = numbered === null || prefix !== "" ? "" : numbered[1]!;
  if (node.op === "parameter") {
    const short = `${named.split(".").slice(-2).join(" ")}${number}`;
    return [short, `${short} parameter`];
  }
  const behind = node.origin.path.slice(numbered === null ? 0 : numbered.index + numbered[0].length);
  const block = behind.split(".").at(-1) ?? "";
  if (!/[A-Za-z]/.test(block)) return [`${node.op}${number}`, `${node.op}${number} value`];
  return [`${block}${number}`, `${block}${number} ${node.op}`];
}

/** `model.layers.` counts a `layer`. */
function singular(prefix: string): string {
  const word = prefix.split(".").filter(Boolean).at(-1) ?? "layer";
  return /[a-z]s$/i.test(word) ? word.slice(0, -1) : word;
}

/** Whether a builder that shares equal nodes would give fewer. */
function hasEqualNodes(graph: Graph): boolean {
  const builder = new GraphBuilder();
  return graph.nodes.some(
    ({ id, op, inputs, attributes }) =>
      builder.add(op, inputs, attributes as unknown as OpAttributes[typeof op]) !== id,
  );
}
