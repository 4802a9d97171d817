/** The view, unpacked as far as it is looked at. */
import { type Row, unpackRows } from "../src/format/rows.ts";
import { textOf } from "../src/format/texts.ts";
import {
  bufferColumns,
  nodeColumns,
  type ProgramView,
  refusalColumns,
  type StageView,
  stepColumns,
  type View,
} from "../src/format/types.ts";

export interface GraphNode {
  readonly id: number;
  readonly op: string;
  readonly path: string;
  readonly type: string;
  readonly attributes: string;
  readonly composite: string;
  readonly source: string;
  /** The node before the pass, -1 where there was none. */
  readonly before: number;
  readonly state: number;
  readonly isStored: boolean;
  readonly inputs: readonly number[];
}

export interface Step {
  readonly index: number;
  readonly kernel: number;
  readonly read: number;
  readonly written: number;
  readonly operations: number;
  readonly buffers: readonly number[];
  readonly nodes: readonly number[];
  readonly origins: readonly string[];
  readonly reasons: readonly string[];
  /** Where the kernel ends: what it reads of others or gives to them, and why they are not one. */
  readonly boundaries: readonly string[];
}

export interface Buffer {
  readonly index: number;
  readonly name: string;
  readonly kind: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
  /** -1 for weights. */
  readonly offset: number;
}

export interface Life {
  readonly buffer: number;
  readonly first: number;
  readonly last: number;
  readonly over: number;
}

export interface Refusal {
  readonly rule: string;
  readonly path: string;
  readonly reason: string;
}

export class Model {
  readonly view: View;
  readonly buffers: readonly Buffer[];
  readonly programs: readonly Program[];

  constructor(view: View) {
    this.view = view;
    const { texts } = view;
    this.buffers = unpackRows(view.buffers).map((row, index) => ({
      index,
      name: textOf(texts, [row[0]!, row[bufferColumns.nameNumber]!]),
      kind: texts[row[1]!]!,
      dtype: texts[row[2]!]!,
      bytes: row[bufferColumns.bytes]!,
      offset: row[bufferColumns.offset]!,
      shape: row.slice(bufferColumns.shape),
    }));
    this.programs = view.programs.map((one) => new Program(view, one));
  }

  bufferText({ name, dtype, shape }: Buffer): string {
    return `${dtype}[${shape.join(", ")}] ${name}`;
  }
}

export class Program {
  readonly view: ProgramView;
  readonly stages: readonly Stage[];
  readonly steps: readonly Step[];
  readonly lives: readonly Life[];
  readonly refusals: readonly Refusal[];
  #stepOfNode: ReadonlyMap<number, number> | undefined;

  constructor(view: View, program: ProgramView) {
    this.view = program;
    const { texts } = view;
    this.stages = [];
    const stages: Stage[] = [];
    for (const one of program.stages) stages.push(new Stage(texts, one, stages.at(-1)));
    this.stages = stages;
    this.steps = unpackRows(program.steps).map((row, index) => stepOf(texts, row, index));
    this.lives = unpackRows(program.memory.lives).map(([buffer, first, last, over]) => ({
      buffer: buffer!,
      first: first!,
      last: last!,
      over: over!,
    }));
    this.refusals = unpackRows(program.refusals).map((row) => ({
      rule: texts[row[0]!]!,
      path: textOf(texts, [row[1]!, row[refusalColumns.pathNumber]!]),
      reason: textOf(texts, [row[2]!, row[refusalColumns.reasonNumber]!]),
    }));
  }

  /** The step that computes a node of the last stage. */
  get stepOfNode(): ReadonlyMap<number, number> {
    this.#stepOfNode ??= new Map(
      this.steps.flatMap(({ nodes, index }) => nodes.map((node) => [node, index] as const)),
    );
    return this.#stepOfNode;
  }
}

function stepOf(texts: readonly string[], row: Row, index: number): Step {
  const [kernel, ...counts] = row as readonly [number, ...number[]];
  const [buffers, nodes, origins, reasons, boundaries] = counts as [number, number, number, number, number];
  let at: number = stepColumns.lists;
  const take = (count: number) => {
    at += count;
    return row.slice(at - count, at);
  };
  const takeTexts = (count: number) => {
    const pairs = take(2 * count);
    return Array.from({ length: count }, (_, i) => textOf(texts, [pairs[2 * i]!, pairs[2 * i + 1]!]));
  };
  return {
    index,
    kernel,
    read: row[stepColumns.read]!,
    written: row[stepColumns.written]!,
    operations: row[stepColumns.operations]!,
    buffers: take(buffers),
    nodes: take(nodes),
    origins: takeTexts(origins),
    reasons: takeTexts(reasons),
    boundaries: takeTexts(boundaries),
  };
}

export class Stage {
  readonly view: StageView;
  readonly previous: Stage | undefined;
  readonly #texts: readonly string[];
  #nodes: readonly GraphNode[] | undefined;
  #gone: readonly GraphNode[] | undefined;
  #next: ReadonlyMap<number, number> | undefined;

  constructor(texts: readonly string[], view: StageView, previous: Stage | undefined) {
    this.#texts = texts;
    this.view = view;
    this.previous = previous;
  }

  get nodes(): readonly GraphNode[] {
    this.#nodes ??= this.#read();
    return this.#nodes;
  }

  /** Nodes of the stage before that are no more. */
  get gone(): readonly GraphNode[] {
    this.#gone ??= (this.previous?.nodes ?? []).filter(({ id }) => !this.next.has(id));
    return this.#gone;
  }

  /** From a node of the stage before to the one that it is here. */
  get next(): ReadonlyMap<number, number> {
    this.#next ??= new Map(
      this.nodes.flatMap(({ id, before }) => (before < 0 ? [] : [[before, id] as const])),
    );
    return this.#next;
  }

  #read(): readonly GraphNode[] {
    const { nodes } = this.view;
    if (nodes === null)
      return (this.previous?.nodes ?? []).map((node) => ({ ...node, before: node.id, state: 0 }));
    const texts = this.#texts;
    return unpackRows(nodes).map((row, id) => ({
      id,
      op: texts[row[0]!]!,
      path: textOf(texts, [row[1]!, row[nodeColumns.pathNumber]!]),
      type: texts[row[2]!]!,
      attributes: textOf(texts, [row[3]!, row[nodeColumns.attributesNumber]!]),
      composite: texts[row[4]!]!,
      source: texts[row[5]!]!,
      before: row[nodeColumns.before]!,
      state: row[nodeColumns.state]!,
      isStored: row[nodeColumns.stored] === 1,
      inputs: row.slice(nodeColumns.inputs),
    }));
  }
}
