/** Whether a node can be computed inside the iteration space of a row program. */
import { type Axis, type Graph, maxSize, type NodeId, sizeEquals } from "@weft/dsl";
import { attributesOf } from "../passes/rewrite.ts";
import { constantSum } from "./affine.ts";
import { type Classified, rowAxisOfView } from "./classify.ts";
import type { Space } from "./types.ts";
import { contiguousStrides, isContiguous } from "./view.ts";

export interface FusionContext {
  readonly graph: Graph;
  readonly classified: Classified;
  readonly consumers: readonly (readonly NodeId[])[];
  readonly outputs: ReadonlySet<NodeId>;
}

const has = (axes: readonly Axis[], name: string) => axes.some((one) => one.name === name);

export function sameSpace(a: Space, b: Space): boolean {
  const same = (x: readonly Axis[], y: readonly Axis[]) =>
    x.length === y.length && x.every((one, i) => one.name === y[i]!.name && sizeEquals(one.size, y[i]!.size));
  return same(a.loops, b.loops) && same(a.row, b.row);
}

/** Undefined when the axes fit the space, else the reason. A flattened row is taken whole or not at all. */
function axesFit(axes: readonly Axis[], space: Space): string | undefined {
  for (const one of axes) {
    const loop = space.loops.find((other) => other.name === one.name);
    if (loop !== undefined) {
      if (!sizeEquals(loop.size, one.size)) return `axis "${one.name}" is cut across the loops`;
    } else if (!has(space.row, one.name) && maxSize(one.size) > 1)
      return `axis "${one.name}" is not in the loops`;
  }
  const rows = axes.filter((one) => has(space.row, one.name));
  if (space.row.length > 1 && rows.length > 0) {
    const whole =
      rows.length === space.row.length && rows.every((one, i) => sizeEquals(one.size, space.row[i]!.size));
    if (!whole) return "a flattened row must be whole";
  }
  return undefined;
}

/**
 * Why `id` cannot join a row program that already computes `inside`, or undefined when it can.
 * @param reduces why a row may not be reduced here, if so.
 */
export function refuseInSpace(
  context: FusionContext,
  id: NodeId,
  inside: ReadonlySet<NodeId>,
  space: Space,
  reduces?: string,
): string | undefined {
  const { graph, classified } = context;
  const node = graph.nodes[id]!;
  const kind = classified.kinds[id]!;
  if (kind !== "map" && kind !== "reduce" && kind !== "view") return `${node.op} has a kernel of its own`;
  const misfit = axesFit(node.type.axes, space);
  if (misfit !== undefined) return misfit;
  for (const loop of space.loops) {
    if (maxSize(loop.size) > 1 && !has(node.type.axes, loop.name))
      return `would be computed again along "${loop.name}"`;
  }
  if (kind === "reduce") {
    const { axis } = node.attributes as { axis: string };
    if (space.row.length !== 1 || space.row[0]!.name !== axis)
      return `reduces "${axis}", which is not the row`;
    if (reduces !== undefined) return reduces;
  }
  const isRandom = node.op === "stochasticRound" || (node.op === "quantizeNvfp4" && node.inputs.length > 2);
  if (isRandom && !countsAlong(node.type.axes, space))
    return "the places of its elements do not follow the row";
  const last = node.type.axes.at(-1)?.name;
  if (node.op === "quantizeNvfp4" && space.row.at(-1)?.name !== last)
    return "the row is not the axis along which its blocks lie";
  if (kind === "view") {
    const axis = rowAxisOfView(node);
    const onRow = axis !== undefined && space.row.length === 1 && space.row[0]!.name === axis;
    if (!onRow || !node.inputs.some((input) => inside.has(input))) return "a view is read from memory";
  }
  for (const [index, input] of node.inputs.entries()) {
    if (inside.has(input)) {
      if (node.op !== "gather") continue;
      if (index === 0) return "a table is read from memory";
    }
    const view = classified.views[input];
    const { axes } = graph.nodes[input]!.type;
    if (node.op === "gather") {
      const refusal = refuseGather(context, id, index, space);
      if (refusal !== undefined) return refusal;
      if (inside.has(input)) continue;
    } else {
      const inputMisfit = axesFit(axes, space);
      if (inputMisfit !== undefined) return inputMisfit;
    }
    if (view === undefined) continue;
    if (inside.has(view.base)) return "would read what this kernel writes";
    const rows = axes.filter((one) => has(space.row, one.name));
    if (rows.length > 1 && !isContiguous(view, rows)) return "the row does not lie in one piece";
  }
  return undefined;
}

/** Whether the places of elements go along a row by one stride. */
function countsAlong(axes: readonly Axis[], space: Space): boolean {
  const rows = axes.filter((one) => has(space.row, one.name));
  if (rows.length <= 1) return true;
  const ordered = rows.every((one, index) => one.name === space.row[index]!.name);
  return ordered && isContiguous({ base: 0, offset: constantSum(0), strides: contiguousStrides(axes) }, rows);
}

/** A table row is named by an index that does not change along the row. */
function refuseGather(context: FusionContext, id: NodeId, index: number, space: Space): string | undefined {
  const node = context.graph.nodes[id]!;
  const { axes } = context.graph.nodes[node.inputs[index]!]!.type;
  const { axis } = attributesOf(node, "gather");
  if (index === 1)
    return axes.some((one) => has(space.row, one.name)) ? "the index changes along the row" : undefined;
  const misfit = axesFit(
    axes.filter((one) => one.name !== axis),
    space,
  );
  return misfit;
}

/** The space that a node on its own would be computed in. */
export function ownSpace(context: FusionContext, id: NodeId): Space {
  const node = context.graph.nodes[id]!;
  if (context.classified.kinds[id] === "reduce") {
    const { axis } = node.attributes as { axis: string };
    const { axes } = context.graph.nodes[node.inputs[0]!]!.type;
    return { loops: axes.filter((one) => one.name !== axis), row: axes.filter((one) => one.name === axis) };
  }
  if (node.op === "gather") {
    const indices = context.graph.nodes[node.inputs[1]!]!.type.axes;
    const rest = node.type.axes.slice(indices.length);
    return { loops: [...indices, ...rest.slice(0, -1)], row: rest.slice(-1) };
  }
  const { axes } = node.type;
  // A value that is about to be reduced is best laid out along the reduced axis.
  for (const consumer of context.consumers[id]!) {
    if (context.classified.kinds[consumer] !== "reduce") continue;
    const { axis } = context.graph.nodes[consumer]!.attributes as { axis: string };
    if (has(axes, axis)) {
      return { loops: axes.filter((one) => one.name !== axis), row: axes.filter((one) => one.name === axis) };
    }
  }
  return { loops: axes.slice(0, -1), row: axes.slice(-1) };
}
