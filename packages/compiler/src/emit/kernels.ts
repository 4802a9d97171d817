/** The kernels of fused groups, one function for each kind of group that computes. */
import type { Axis, Graph, NodeId } from "@weft/dsl";
import { constantSum, sumOf } from "../fusion/affine.ts";
import {
  type FusedContract,
  type FusedMatmul,
  type FusedRows,
  type FusedScatterAdd,
  type FusedTopK,
  nodesOf,
} from "../fusion/types.ts";
import { contiguousStrides } from "../fusion/view.ts";
import { attributesOf } from "../passes/rewrite.ts";
import type { Access, Kernel, Loop } from "../plan/types.ts";
import { Bindings } from "./bindings.ts";
import { BodyBuilder, type BodyContext } from "./body.ts";
import { kernelName } from "./naming.ts";
import type { Places } from "./places.ts";
import { type PlanAssembly, planDtype, type Storage } from "./storage.ts";

/** What a kernel is written from. */
export interface KernelSite {
  readonly graph: Graph;
  readonly assembly: PlanAssembly;
  readonly places: Places;
  readonly stored: ReadonlySet<NodeId>;
  /** Of a program that makes gradients. */
  readonly trains: boolean;
}

export interface Emitted {
  readonly kernel: Kernel;
  readonly bindings: Bindings;
}

/** `own`: the nodes that the body computes. */
export function contextOf(
  { graph, assembly, places, stored }: KernelSite,
  bindings: Bindings,
  own: ReadonlySet<NodeId>,
): BodyContext {
  return {
    graph,
    assembly,
    storageOf: (id) => places.storageOf(id),
    targetOf: (id) => {
      const target = own.has(id) && stored.has(id) ? places.targetOf(id) : undefined;
      return target === undefined ? [] : [target];
    },
    slot: (buffer, access) => bindings.slot(buffer, access),
  };
}

export function rowsKernel(group: FusedRows, site: KernelSite): Emitted {
  const bindings = new Bindings(site.assembly);
  const opOf = (id: NodeId) => site.graph.nodes[id]!.op;
  const writes = [...group.nodes].filter((id) => opOf(id) === "stateWrite");
  // Axes are joined for a write only.
  const computed = new Set([...group.nodes].filter((id) => !/^(stateWrite|mergeAxes)$/.test(opOf(id))));
  const builder = new BodyBuilder(contextOf(site, bindings, computed), group.space, computed);
  builder.compute();
  // Behind everything that may read what they overwrite.
  for (const id of writes.sort((a, b) => a - b)) {
    let value = site.graph.nodes[id]!.inputs[0]!;
    while (opOf(value) === "mergeAxes") value = site.graph.nodes[value]!.inputs[0]!;
    const strides = contiguousStrides(site.graph.nodes[value]!.type.axes);
    builder.store(value, { ...site.places.targetOf(id)!, strides });
  }
  const name = kernelName(site.graph, [...group.nodes]);
  return { kernel: { kind: "rows", name, slots: bindings.slots, program: builder.program() }, bindings };
}

export function matmulKernel(group: FusedMatmul, site: KernelSite): Emitted {
  const { graph, assembly, places } = site;
  const bindings = new Bindings(assembly);
  const prologue = new BodyBuilder(
    contextOf(site, bindings, group.prologue.nodes),
    group.prologue.space,
    group.prologue.nodes,
  );
  prologue.compute();
  prologue.finishWith(prologue.operand(group.operand));
  const groups = group.columns.map((columns) => {
    const builder = new BodyBuilder(contextOf(site, bindings, columns.nodes), columns.space, columns.nodes);
    const weights = columns.dots.map((dot) => {
      const storage = places.storageOf(graph.nodes[dot]!.inputs[1]!)!;
      return bindings.slot(storage.buffer, "read");
    });
    columns.dots.forEach((dot, index) => {
      builder.accumulator(dot, index);
    });
    builder.compute();
    const size = (axes: readonly Axis[]) => axes.reduce((product, one) => product * (one.size as number), 1);
    const columnLoops = columns.space.loops.slice(group.prologue.space.loops.length);
    return { weights, columns: size(columnLoops) * size(columns.space.row), epilogue: builder.program() };
  });
  const program = prologue.program();
  const contracted = program.row.extent.constant;
  const inputDtype = planDtype(graph.nodes[group.operand]!.type.dtype);
  const name = kernelName(graph, nodesOf(group));
  const { slots } = bindings;
  const hasBlocks = groups.some(({ weights }) => weights.some((slot) => slots[slot]!.dtype === "nvfp4"));
  const kernel: Kernel = {
    kind: "matmul",
    name,
    slots,
    rows: program.loops,
    contracted,
    inputDtype,
    orderedSums: site.trains && hasBlocks,
    prologue: program,
    groups,
  };
  return { kernel, bindings };
}

export function topKKernel(group: FusedTopK, site: KernelSite): Emitted {
  const { graph, assembly, places } = site;
  const node = graph.nodes[group.node]!;
  const { axis, count } = attributesOf(node, "topK");
  const bindings = new Bindings(assembly);
  const input = node.inputs[0]!;
  const { axes } = graph.nodes[input]!.type;
  const outer = axes.filter((one) => one.name !== axis);
  const access = (storage: Storage, row: string, kind: "read" | "write"): Access => ({
    slot: bindings.slot(storage.buffer, kind),
    offset: assembly.affine(storage.offset),
    strides: outer.map((one) => storage.strides.get(one.name) ?? 0),
    rowStride: storage.strides.get(row)!,
  });
  const kernel: Kernel = {
    kind: "topK",
    name: kernelName(graph, [node.id]),
    slots: bindings.slots,
    loops: outer.map((one) => ({ axis: one.name, extent: assembly.affine(sumOf(one.size)) })),
    length: axes.find((one) => one.name === axis)!.size as number,
    count,
    input: access(places.storageOf(input)!, axis, "read"),
    output: access(places.targetOf(node.id)!, "valueAndIndex", "write"),
  };
  return { kernel, bindings };
}

export function scatterAddKernel(group: FusedScatterAdd, site: KernelSite): Emitted {
  const { graph, assembly, places } = site;
  const node = graph.nodes[group.node]!;
  const [updates, indices] = [node.inputs[0]!, node.inputs[1]!];
  const bindings = new Bindings(assembly);
  const loop = (axis: Axis): Loop => ({ axis: axis.name, extent: assembly.affine(sumOf(axis.size)) });
  const [destination, ...rest] = node.type.axes as [Axis, ...Axis[]];
  const [loops, row] = [rest.slice(0, -1), rest.at(-1)];
  const positions = graph.nodes[indices]!.type.axes;
  const access = (storage: Storage, axes: readonly Axis[], kind: "read" | "write"): Access => ({
    slot: bindings.slot(storage.buffer, kind),
    offset: assembly.affine(storage.offset),
    strides: axes.map((one) => storage.strides.get(one.name) ?? 0),
    rowStride: row === undefined ? 1 : (storage.strides.get(row.name) ?? 0),
  });
  const result = group.sum ?? group.node;
  const addend =
    group.sum === undefined ? [] : graph.nodes[group.sum]!.inputs.filter((input) => input !== group.node);
  const along = [destination, ...loops];
  const kernel: Kernel = {
    kind: "scatterAdd",
    name: kernelName(graph, nodesOf(group)),
    slots: bindings.slots,
    positions: positions.map(loop),
    loops: loops.map(loop),
    row: row === undefined ? { axis: "", extent: assembly.affine(constantSum(1)) } : loop(row),
    bound: assembly.affine(sumOf(destination.size)),
    indices: { ...access(places.storageOf(indices)!, positions, "read"), rowStride: 0 },
    updates: access(places.storageOf(updates)!, [...positions, ...loops], "read"),
    out: access(places.targetOf(result)!, along, "write"),
    addends: addend.map((id) => access(places.storageOf(id)!, along, "read")),
  };
  return { kernel, bindings };
}

export function contractKernel(group: FusedContract, site: KernelSite): Emitted {
  const { graph, assembly, places } = site;
  const node = graph.nodes[group.node]!;
  const { contract } = attributesOf(node, "dot");
  const [a, b] = [node.inputs[0]!, node.inputs[1]!];
  const bindings = new Bindings(assembly);
  const loop = (axis: Axis): Loop => ({ axis: axis.name, extent: assembly.affine(sumOf(axis.size)) });
  const contracted = contract.map((name) => graph.nodes[a]!.type.axes.find((one) => one.name === name)!);
  const access = (storage: Storage, axes: readonly Axis[], kind: "read" | "write"): Access => ({
    slot: bindings.slot(storage.buffer, kind),
    offset: assembly.affine(storage.offset),
    strides: axes.map((one) => storage.strides.get(one.name) ?? 0),
    rowStride: 0,
  });
  const all = [...node.type.axes, ...contracted];
  const kernel: Kernel = {
    kind: "contract",
    name: kernelName(graph, [node.id]),
    slots: bindings.slots,
    loops: node.type.axes.map(loop),
    contracted: contracted.map(loop),
    a: access(places.storageOf(a)!, all, "read"),
    b: access(places.storageOf(b)!, all, "read"),
    out: access(places.targetOf(node.id)!, node.type.axes, "write"),
  };
  return { kernel, bindings };
}
