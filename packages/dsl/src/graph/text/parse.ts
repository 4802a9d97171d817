/** Reads the text form of a graph back. */
import { type Either, left } from "fp-ts/lib/Either.js";
import type { Axis } from "../../axis.ts";
import { type Problems, userProblem } from "../../errors.ts";
import type { OpName } from "../../ops/names.ts";
import type {
  Attributes,
  AttributeValue,
  Dtype,
  Graph,
  GraphNode,
  GraphOutput,
  Origin,
  StateSpec,
  SymbolSpec,
  TensorType,
} from "../types.ts";
import { verifyGraph } from "../verify.ts";
import { typedByAttributes } from "./print.ts";
import { Scanner, showPlace, TextError } from "./scan.ts";

/**
 * A graph from its text form, verified. `parseGraph(printGraph(graph))` gives an equal graph.
 * @returns on the left, what was expected with line, column and a caret, or everything that `verifyGraph` finds.
 */
export function parseGraph(source: string): Either<Problems, Graph> {
  try {
    return verifyGraph(new Parser(source).graph());
  } catch (error) {
    return left([problemOf(error, source)]);
  }
}

function problemOf(error: unknown, source: string) {
  if (error instanceof TextError) {
    return userProblem("graph text", `expected ${error.expected}`, {
      given: JSON.stringify(error.given),
      location: showPlace(source, error.offset),
    });
  }
  // Values nested so deeply that the stack ends.
  return userProblem("graph text", "values must not be nested that deeply", { given: String(error) });
}

class Parser {
  readonly #scanner: Scanner;

  constructor(source: string) {
    this.#scanner = new Scanner(source);
  }

  graph(): Graph {
    const scanner = this.#scanner;
    scanner.expect("graph", '"graph"');
    const name = this.#name("the graph's name");
    const symbols = scanner.accept("(") ? this.#list(")", () => this.#symbol()) : [];
    scanner.expect("{");
    const states: StateSpec[] = [];
    const nodes: GraphNode[] = [];
    const outputs: GraphOutput[] = [];
    while (!scanner.accept("}")) {
      if (scanner.next.kind === "node") nodes.push(this.#node());
      else if (scanner.accept("state")) states.push(this.#state());
      else if (scanner.accept("return")) outputs.push(this.#output());
      else if (scanner.next.source === "repeat") scanner.fail("a text without folded layers");
      else scanner.fail('a node such as %0, "state", "return" or "}"');
    }
    if (scanner.next.kind !== "end") scanner.fail("the end of the text");
    return { name, symbols, states, nodes, outputs };
  }

  #symbol(): SymbolSpec {
    const name = this.#name("a symbol");
    this.#scanner.expect("<=");
    const max = this.#number("the symbol's bound");
    if (!this.#scanner.accept("=")) return { name, max };
    const sum = [this.#name("a symbol of the sum")];
    while (this.#scanner.accept("+")) sum.push(this.#name("a symbol of the sum"));
    return { name, max, sum };
  }

  #state(): StateSpec {
    const name = this.#name("the state's name");
    this.#scanner.expect(":");
    return { name, type: this.#type() };
  }

  #output(): GraphOutput {
    const name = this.#name("the output's name");
    this.#scanner.expect("=");
    return { name, node: this.#reference() };
  }

  #node(): GraphNode {
    const scanner = this.#scanner;
    const id = this.#reference();
    scanner.expect("=");
    const op = this.#name("an op") as OpName;
    scanner.expect("(");
    const inputs = this.#list(")", () => this.#reference());
    const written = scanner.accept("{") ? this.#entries() : {};
    scanner.expect(":", '":" and the type, or attributes in braces');
    const type = this.#type();
    // Ops whose attributes repeat the type are written without.
    const implied =
      typedByAttributes.has(op) && !Object.hasOwn(written, "dtype") && !Object.hasOwn(written, "axes");
    const attributes = (implied ? { ...written, dtype: type.dtype, axes: type.axes } : written) as Attributes;
    return { id, op, inputs, attributes, type, origin: this.#origin() };
  }

  #type(): TensorType {
    const dtype = this.#name("a dtype such as f32") as Dtype;
    this.#scanner.expect("[");
    return { dtype, axes: this.#list("]", () => this.#axis(this.#name("an axis such as hidden=64"))) };
  }

  /** What follows an axis' name: `=64` or `=seq<=512`. */
  #axis(name: string): Axis {
    const scanner = this.#scanner;
    scanner.expect("=", '"=" and the size of the axis');
    if (scanner.next.kind === "number") return { name, size: this.#number("a size") };
    const symbol = this.#name("a size: a number, or a symbol with its bound");
    scanner.expect("<=");
    return { name, size: { symbol, max: this.#number("the symbol's bound") } };
  }

  #origin(): Origin {
    const scanner = this.#scanner;
    if (scanner.next.kind !== "sign" || scanner.next.source !== "#") return { path: "" };
    const [path, source, ...more] = scanner.places();
    if (path === undefined || more.length > 0) scanner.fail("a path, and at most one source line after it");
    const composite = scanner.accept("(") ? this.#name("the name of a composite op") : undefined;
    if (composite !== undefined) scanner.expect(")");
    return {
      path,
      ...(source === undefined ? {} : { source }),
      ...(composite === undefined ? {} : { composite }),
    };
  }

  /** The inside of `{key: value, ...}` after the opening brace. */
  #entries(): { readonly [key: string]: AttributeValue } {
    const seen = new Set<string>();
    const entries = this.#list("}", () => {
      if (seen.has(this.#scanner.next.source)) this.#scanner.fail("every key once");
      seen.add(this.#scanner.next.source);
      const key = this.#name("a key");
      this.#scanner.expect(":");
      return [key, this.#value()] as const;
    });
    return Object.fromEntries(entries);
  }

  #value(): AttributeValue {
    const scanner = this.#scanner;
    const { kind, source } = scanner.next;
    if (kind === "number") return this.#number("a number");
    if (kind === "text" || kind === "word") return this.#named();
    if (scanner.accept("[")) return this.#list("]", () => this.#value());
    if (scanner.accept("{")) return this.#entries();
    return scanner.fail(source === "" ? "a value" : "a value: a text in quotes, a number, a list, an axis");
  }

  /** A text, a keyword, or an axis, which begins like either. */
  #named(): AttributeValue {
    const scanner = this.#scanner;
    const { kind, source, start } = scanner.next;
    const name = this.#name("a value");
    if (scanner.next.source === "=") return this.#axis(name) as unknown as AttributeValue;
    if (kind === "text") return name;
    switch (source) {
      case "true":
        return true;
      case "false":
        return false;
      case "null":
        return null;
      case "inf":
        return Number.POSITIVE_INFINITY;
      case "nan":
        return Number.NaN;
      default:
        throw new TextError("a value; a text stands in quotes", source, start);
    }
  }

  #list<T>(close: string, item: () => T): T[] {
    const items: T[] = [];
    if (this.#scanner.accept(close)) return items;
    do items.push(item());
    while (this.#scanner.accept(","));
    this.#scanner.expect(close, `"," or "${close}"`);
    return items;
  }

  #name(expected: string): string {
    const { kind, start } = this.#scanner.next;
    if (kind !== "word" && kind !== "text") this.#scanner.fail(expected);
    const { source } = this.#scanner.take();
    return kind === "word" ? source : this.#scanner.unquote(source, start);
  }

  #number(expected: string): number {
    if (this.#scanner.next.kind !== "number") this.#scanner.fail(expected);
    const { source } = this.#scanner.take();
    if (source.endsWith("inf"))
      return source.startsWith("-") ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
    return Number(source);
  }

  #reference(): number {
    if (this.#scanner.next.kind !== "node") this.#scanner.fail("a node such as %0");
    return Number(this.#scanner.take().source.slice(1));
  }
}
