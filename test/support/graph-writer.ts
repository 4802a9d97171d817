/** Grows a random graph one instruction at a time; an instruction that fits nothing is skipped, so any list is valid. */
import { type Axis, type Dtype, GraphBuilder, maxSize, type NodeId, type TensorType } from "@weft/dsl";
import type { RandomState } from "./graph-states.ts";
import { largest, magnitude, type Range } from "./ranges.ts";

/** A value that later instructions may use. */
export interface Entry extends Range {
  readonly id: NodeId;
  readonly type: TensorType;
  /** An input or a parameter: its values are arbitrary numbers, so that steps and comparisons never meet a tie. */
  readonly leaf: boolean;
}

/** Sizes of the named axes. Small, odd and 1 among them. */
export interface Sizes {
  readonly batch: number;
  readonly sequence: number;
  readonly hidden: number;
  readonly kvHeads: number;
  readonly group: number;
  readonly half: number;
  readonly wide: number;
}

export class GraphWriter {
  readonly builder = new GraphBuilder();
  readonly entries: Entry[] = [];
  readonly states: RandomState[] = [];
  readonly sizes: Sizes;
  /** Wraps every name that the graph shows: paths, parameters, inputs. */
  readonly spell: (name: string) => string;
  #names = 0;

  constructor(sizes: Sizes, spell: (name: string) => string) {
    this.sizes = sizes;
    this.spell = spell;
  }

  get sequence(): Axis {
    return { name: "seq", size: { symbol: "seq", max: this.sizes.sequence } };
  }

  /** The entry that a number picks among those that fit; 0 is the latest. */
  pick(choice: number, fits: (entry: Entry) => boolean = () => true): Entry | undefined {
    const fitting = this.entries.filter(fits);
    return fitting.at(-1 - (choice % Math.max(1, fitting.length)));
  }

  /** Registers a node as a value to build upon, if it stays in bounds. */
  keep(id: NodeId, range: Range, leaf = false): Entry | undefined {
    if (magnitude(range) > largest) return undefined;
    const entry: Entry = { id, type: this.builder.type(id), low: range.low, high: range.high, leaf };
    this.entries.push(entry);
    return entry;
  }

  freshName(name: string): string {
    return `${name}${this.#names++}`;
  }

  /** A new weight between -0.4 and 0.4, or, named a scale, between 0.5 and 1.5; some are stored in bf16. */
  parameter(kind: "weight" | "scale", axes: readonly Axis[], dtype: Dtype = "f32"): Entry {
    const name = `${this.spell(this.freshName("layer."))}.${kind}`;
    const id = this.builder.add("parameter", [], { name, dtype, axes });
    const range = parameterRange(name);
    return { id, type: this.builder.type(id), ...range, leaf: true };
  }
}

/** Parameters' values follow from their names, so that values can be made for a finished graph. */
export function parameterRange(name: string): Range {
  return name.endsWith("scale") ? { low: 0.5, high: 1.5 } : { low: -0.4, high: 0.4 };
}

/** Inputs: floats in this range, indices from 0 to 6. */
export const inputRange: Range = { low: -2, high: 2 };
export const indexRange: Range = { low: 0, high: 6 };

export function isFloatEntry(entry: Entry): boolean {
  return entry.type.dtype === "f32" || entry.type.dtype === "bf16";
}

export function isF32(entry: Entry): boolean {
  return entry.type.dtype === "f32";
}

export function hasAxis(entry: Entry, name: string): boolean {
  return entry.type.axes.some((one) => one.name === name);
}

/** The last axis, where it is of a fixed size. */
export function fixedLastAxis(entry: Entry): Axis | undefined {
  const found = entry.type.axes.at(-1);
  return found !== undefined && typeof found.size === "number" ? found : undefined;
}

/** The number of places of a tensor at the bounds of its symbols: random graphs keep this small. */
export function maxElements(type: TensorType): number {
  return type.axes.reduce((count, one) => count * maxSize(one.size), 1);
}
