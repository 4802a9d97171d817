/**
 * What the viewer shows, as one plain JSON value: the block, the graph after every pass, kernels, memory. It is made by
 * `viewOf` and read by the page, so the columns of a `PackedRows` are said here, once, for both.
 */
import type { PackedRows } from "./rows.ts";

/** Raised whenever a page of the old version could misread a new view. */
export const viewVersion = 2;

/** Of a view's script that holds JSON in base64 of raw deflate, where plain JSON would be large. */
export const packedType = "application/x-deflate";

export interface View {
  readonly version: number;
  readonly name: string;
  /** What was looked at, as the user named it. */
  readonly target: string;
  readonly device: "cpu" | "cuda";
  /** Version and hash of the plan. */
  readonly plan: { readonly version: number; readonly hash: string };
  /** Every text that rows refer to; see texts.ts. */
  readonly texts: readonly string[];
  /** Undefined for a graph, which was never a block. */
  readonly notation?: NotationView;
  readonly kernels: readonly KernelView[];
  /** `BufferColumns`, by buffer. */
  readonly buffers: PackedRows;
  readonly arenas: Readonly<Record<string, number>>;
  readonly programs: readonly ProgramView[];
  /** Where times on the roofline come from; whoever reads the page can put in others. */
  readonly roofline: RooflineView;
}

export interface RooflineView {
  readonly bytesPerSecond: number;
  readonly operationsPerSecond: number;
  /** Whose figures these are. */
  readonly source: string;
}

export interface NotationView {
  /** `->>` notation, in several lines. */
  readonly text: string;
  readonly spans: readonly NotationSpan[];
}

/** The characters from `start` to `end` are the blocks at `path`. */
export interface NotationSpan {
  readonly start: number;
  readonly end: number;
  /** `model.layers.*.mlp`: a `*` for the number of each layer that the text stands for. */
  readonly path: string;
  /** Of a leaf without a name of its own: its op, in the block at `path`. */
  readonly op?: string;
  /** For each `*` the first number and how many there are. */
  readonly ranges: readonly (readonly [first: number, count: number])[];
}

export interface KernelView {
  readonly name: string;
  readonly kind: string;
  /** `read`, `write` or `update`, by slot. */
  readonly access: readonly string[];
  /** The plan's program, which the CPU executes. */
  readonly program: string;
  /** Of a plan for CUDA: the functions as they are compiled. */
  readonly cuda?: string;
}

export interface ProgramView {
  readonly name: string;
  /** The symbol values that costs are taken at: those that it was measured at, where it was. */
  readonly at: Readonly<Record<string, number>>;
  /** The graph as it was given, then after each pass, then as fusion left it; none when there is only a plan. */
  readonly stages: readonly StageView[];
  /** `StepColumns`, by step. */
  readonly steps: PackedRows;
  /** `RefusalColumns`. */
  readonly refusals: PackedRows;
  readonly memory: ProgramMemoryView;
  /** Nanoseconds of each step, where they were measured. */
  readonly measured?: readonly number[];
}

export interface StageView {
  /** The pass; `given` for the first, `fuse` for the last. */
  readonly pass: string;
  readonly summary: string;
  /** Each rule and how often it fired. */
  readonly rules: readonly (readonly [rule: string, times: number])[];
  /** `NodeColumns`, by node; null where the pass changed nothing. */
  readonly nodes: PackedRows | null;
  /** Name and node of each output. */
  readonly outputs: readonly (readonly [name: string, node: number])[];
}

export interface ProgramMemoryView {
  /** Bytes of the arena, and the most bytes alive in any one step: no arrangement needs less. */
  readonly bytes: number;
  readonly lowerBound: number;
  /** `LifeColumns`, in the order in which they begin. */
  readonly lives: PackedRows;
  /** Bytes of the arena that something alive lies in, by step. */
  readonly alive: readonly number[];
}

/** What became of a node of the graph before. */
export const sameNode = 0;
export const changedNode = 1;
export const addedNode = 2;

/** Numbers at the front of a row that are texts, and the same in all turns of a repetition. */
export const fixedColumns = { node: 6, step: 6, buffer: 3, life: 0, refusal: 3 } as const;

/**
 * op, path, type, attributes, composite, source: indices of texts. Then the numbers of path and attributes; the node
 * before, or -1; one of `sameNode`, `changedNode`, `addedNode`; whether the value is stored; the inputs.
 */
export const nodeColumns = {
  pathNumber: 6,
  attributesNumber: 7,
  before: 8,
  state: 9,
  stored: 10,
  inputs: 11,
};

/**
 * kernel; how many buffers, nodes, origins, reasons and boundaries. Then bytes read and written, operations; the buffers by
 * slot; the nodes of the last stage; index and number of the text of each origin, of each reason and of each boundary.
 */
export const stepColumns = { read: 6, written: 7, operations: 8, lists: 9 };

/** name, class, dtype: indices of texts. Then the name's number, bytes, offset, the sizes of the shape. */
export const bufferColumns = { nameNumber: 3, bytes: 4, offset: 5, shape: 6 };

/** Buffer, first and last step, and the buffer whose bytes it takes over, or -1. */
export const lifeColumns = { buffer: 0, first: 1, last: 2, over: 3 };

/** rule, path, reason: indices of texts. Then the numbers of path and reason. */
export const refusalColumns = { pathNumber: 3, reasonNumber: 4 };
