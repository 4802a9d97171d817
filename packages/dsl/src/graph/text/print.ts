/**
 * The text form of a graph: one node per line, stable, made for reading and for diffs. `parseGraph` reads it back
 * exactly. Names that are no plain words are quoted as in JSON.
 */
import type { Axis } from "../../axis.ts";
import { carriedKey, type FoldItem, foldGraph, type Repeat, withoutNumber } from "../fold.ts";
import type { AttributeValue, Graph, GraphNode, NodeId, Origin, SymbolSpec, TensorType } from "../types.ts";

export interface PrintOptions {
  /** Print repeated layers once, as `repeat model.layers.* x36`. Such a text is for reading; it does not parse. */
  readonly fold?: boolean;
  /** Leave the origins (paths and source lines) out. */
  readonly origins?: boolean;
}

/**
 * A graph as text.
 * @example
 * console.log(printGraph(graph));
 * // graph norm (seq<=8) {
 * //   %0 = input() {name: "x"}: f32[seq=seq<=8, hidden=4]
 * //   %1 = parameter() {name: "norm.weight"}: f32[hidden=4]  # model.norm model.ts:2:3
 * //   %2 = rmsNorm(%0, %1) {axis: "hidden", epsilon: 0.000001}: f32[seq=seq<=8, hidden=4]  # model.norm model.ts:2:3
 * //   return y = %2
 * // }
 */
export function printGraph(graph: Graph, options: PrintOptions = {}): string {
  const symbols = graph.symbols.length === 0 ? "" : ` (${graph.symbols.map(printSymbol).join(", ")})`;
  const lines = [`graph ${printName(graph.name)}${symbols} {`];
  for (const { name, type } of graph.states) lines.push(`  state ${printName(name)}: ${printType(type)}`);
  const plain: Spelling = {
    reference: (id) => `%${id}`,
    text: (text) => text,
    origins: options.origins ?? true,
  };
  let spelling = plain;
  if (options.fold === true) {
    const items = foldGraph(graph);
    spelling = { ...plain, reference: foldedReference(items) };
    for (const item of items) {
      lines.push(
        ...(item.tag === "node" ? [`  ${printNode(item.node, spelling)}`] : printRepeat(item, spelling)),
      );
    }
  } else for (const node of graph.nodes) lines.push(`  ${printNode(node, plain)}`);
  for (const { name, node } of graph.outputs) {
    lines.push(`  return ${printName(name)} = ${spelling.reference(node)}`);
  }
  return `${lines.join("\n")}\n}\n`;
}

/**
 * What a node computes, without its number and where it comes from: `dot(%, %) {contract: ["hidden"]}: f32[heads=16]`.
 * @param reference how an input is written
 */
export function printOperation(node: GraphNode, reference: (id: NodeId) => string): string {
  return operation(node, { reference, text: (text) => text, origins: false }, 0);
}

/** A plain word as it is, anything else in quotes. */
export function printName(name: string): string {
  return /^[A-Za-z_][\w.'-]*$/.test(name) ? name : JSON.stringify(name);
}

export function printAxis({ name, size }: Axis): string {
  return `${printName(name)}=${printSize(size)}`;
}

/** `f32[seq=seq<=512, hidden=1024]`. */
export function printType({ dtype, axes }: TensorType): string {
  return `${printName(dtype)}[${axes.map(printAxis).join(", ")}]`;
}

/** An attribute's value: like JSON, with axes as `name=size`, infinities as `inf` and negative zero kept. */
export function printValue(value: AttributeValue): string {
  if (typeof value === "number") return printNumber(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  if (isList(value)) return `[${value.map(printValue).join(", ")}]`;
  if (isAxis(value)) return printAxis(value);
  return `{${printEntries(value)}}`;
}

/** Ops whose attributes repeat their type; the text says it once. */
export const typedByAttributes: ReadonlySet<string> = new Set([
  "input",
  "parameter",
  "stateRead",
  "stateAppend",
]);

/** How the parts of a node are spelled: plainly, or as one turn of a repetition. */
interface Spelling {
  readonly reference: (id: NodeId, place?: number, input?: number) => string;
  readonly text: (text: string) => string;
  readonly origins: boolean;
}

function printNode(node: GraphNode, spelling: Spelling, place = 0): string {
  const origin = spelling.origins ? printOrigin(node.origin, spelling.text) : "";
  return `%${node.id} = ${operation(node, spelling, place)}${origin}`;
}

function operation(node: GraphNode, spelling: Spelling, place: number): string {
  const inputs = node.inputs.map((id, index) => spelling.reference(id, place, index)).join(", ");
  const attributes = printEntries(shownAttributes(node), spelling.text);
  return `${printName(node.op)}(${inputs})${attributes && ` {${attributes}}`}: ${printType(node.type)}`;
}

function shownAttributes(node: GraphNode): { readonly [key: string]: AttributeValue } {
  if (!typedByAttributes.has(node.op)) return node.attributes;
  const { dtype, axes, ...rest } = node.attributes;
  const repeated = JSON.stringify([dtype, axes]) === JSON.stringify([node.type.dtype, node.type.axes]);
  return repeated ? rest : node.attributes;
}

function printEntries(
  entries: { readonly [key: string]: AttributeValue },
  spell: (text: string) => string = (text) => text,
): string {
  return Object.entries(entries)
    .filter(([, value]) => value !== undefined)
    .map(
      ([key, value]) => `${printName(key)}: ${printValue(typeof value === "string" ? spell(value) : value)}`,
    )
    .join(", ");
}

/** `  # model.layers.0.mlp model.ts:12:5 (silu)`, or nothing. */
function printOrigin({ path, source, composite }: Origin, spell: (text: string) => string): string {
  if (path === "" && source === undefined && composite === undefined) return "";
  const parts = [printPlace(spell(path))];
  if (source !== undefined) parts.push(printPlace(source));
  if (composite !== undefined) parts.push(`(${printName(composite)})`);
  return `  # ${parts.join(" ")}`;
}

/** Paths and source lines stay bare unless spaces, quotes or brackets would end them. */
function printPlace(place: string): string {
  const quoted = JSON.stringify(place);
  return quoted === `"${place}"` && /^[^\s()]+$/.test(place) ? place : quoted;
}

function printSymbol({ name, max, sum }: SymbolSpec): string {
  return `${printName(name)}<=${printNumber(max)}${sum === undefined ? "" : `=${sum.map(printName).join("+")}`}`;
}

function printSize(size: Axis["size"]): string {
  return typeof size === "number" ? printNumber(size) : `${printName(size.symbol)}<=${printNumber(size.max)}`;
}

function printNumber(value: number): string {
  if (Object.is(value, -0)) return "-0";
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? "nan" : value < 0 ? "-inf" : "inf";
}

function isList(value: AttributeValue): value is readonly AttributeValue[] {
  return Array.isArray(value);
}

function isAxis(value: unknown): value is Axis {
  const { name, size, ...rest } = value as { readonly name?: unknown; readonly size?: unknown };
  if (typeof name !== "string" || Object.keys(rest).length > 0) return false;
  if (typeof size === "number") return true;
  if (typeof size !== "object" || size === null || Array.isArray(size)) return false;
  const { symbol, max, ...more } = size as { readonly symbol?: unknown; readonly max?: unknown };
  return typeof symbol === "string" && typeof max === "number" && Object.keys(more).length === 0;
}

function printRepeat(repeat: Repeat, outer: Spelling): string[] {
  const { prefix, first, ranges, carried } = repeat;
  const body = ranges[0]!;
  const spelling: Spelling = {
    ...outer,
    text: (text) => withoutNumber(text, prefix, first),
    reference: (id, place = 0, input = 0) => {
      const handed = carried.get(carriedKey(place, input));
      const own = outer.reference(id, place, input);
      return handed === undefined ? own : `${own} then %${body[handed]!.id}`;
    },
  };
  const last = first + ranges.length - 1;
  return [
    `  repeat ${printName(`${prefix}*`)} from ${first} to ${last}, x${ranges.length} {`,
    ...body.map((node, place) => `    ${printNode(node, spelling, place)}`),
    "  }",
  ];
}

/** A node of a later turn is written as that of the first one with the number of its turn: `%14@35`. */
function foldedReference(items: readonly FoldItem[]): (id: NodeId) => string {
  const names = new Map<NodeId, string>();
  for (const item of items) {
    if (item.tag === "node") continue;
    const body = item.ranges[0]!;
    item.ranges.forEach((range, turn) => {
      if (turn === 0) return;
      range.forEach((node, place) => {
        names.set(node.id, `%${body[place]!.id}@${item.first + turn}`);
      });
    });
  }
  return (id) => names.get(id) ?? `%${id}`;
}
