/**
 * Views: how a value lies in the buffer of another one. Naming, ordering, splitting, merging, cutting and repeating axes
 * of a stored value costs nothing when it can be said by strides and an offset.
 */
import { type Axis, type Graph, type GraphNode, maxSize, type NodeId } from "@weft/dsl";
import { attributesOf } from "../passes/rewrite.ts";
import { addSums, constantSum, type SymbolicSum, scaleSum, sumOf } from "./affine.ts";

export interface View {
  /** The node whose buffer this looks into. */
  readonly base: NodeId;
  readonly offset: SymbolicSum;
  /** Stride in elements by axis name, in the order of the value's axes. */
  readonly strides: ReadonlyMap<string, number>;
}

/** C-order strides for the largest sizes. */
export function contiguousStrides(axes: readonly Axis[]): Map<string, number> {
  const reversed: [string, number][] = [];
  let stride = 1;
  for (let i = axes.length - 1; i >= 0; i--) {
    reversed.push([axes[i]!.name, stride]);
    stride *= maxSize(axes[i]!.size);
  }
  return new Map(reversed.reverse());
}

/** How the value of an op on a state lies in the state, of which it may be a part; undefined for other ops. */
export function stateStrides(graph: Graph, node: GraphNode): Map<string, number> | undefined {
  if (node.op !== "stateRead" && node.op !== "stateWrite" && node.op !== "stateAppend") return undefined;
  const { state } = node.attributes as { readonly state: string };
  const declared = graph.states.find((one) => one.name === state);
  return declared && contiguousStrides(declared.type.axes);
}

export function isView(node: GraphNode): boolean {
  switch (node.op) {
    case "rename":
    case "splitAxis":
    case "mergeAxes":
    case "slice":
    case "concat":
    case "last":
    case "broadcast":
    case "after":
      return true;
    default:
      return false;
  }
}

/** The view that results from applying a view op to `source`, or undefined where strides cannot say it. */
export function applyView(graph: Graph, node: GraphNode, source: View): View | undefined {
  const input = graph.nodes[node.inputs[0]!]!;
  switch (node.op) {
    case "rename": {
      const { from, to } = attributesOf(node, "rename");
      return {
        ...source,
        strides: new Map([...source.strides].map(([name, s]) => [name === from ? to : name, s])),
      };
    }
    case "splitAxis": {
      const { axis, into } = attributesOf(node, "splitAxis");
      const inner = contiguousStrides(into);
      const strides = [...source.strides].flatMap(([name, stride]): [string, number][] =>
        name === axis ? [...inner].map(([part, own]) => [part, own * stride]) : [[name, stride]],
      );
      return { ...source, strides: new Map(strides) };
    }
    case "mergeAxes": {
      const { axes, into } = attributesOf(node, "mergeAxes");
      const sizeOf = (axis: string) => maxSize(input.type.axes.find((one) => one.name === axis)!.size);
      // The stride of an axis of one element says nothing.
      const stepped = axes.filter((axis) => sizeOf(axis) > 1);
      for (let i = 0; i + 1 < stepped.length; i++) {
        const inner = stepped[i + 1]!;
        if (source.strides.get(stepped[i]!) !== source.strides.get(inner)! * sizeOf(inner)) return undefined;
      }
      const last = source.strides.get(stepped.at(-1) ?? axes.at(-1)!)!;
      const strides = [...source.strides].flatMap(([name, stride]): [string, number][] => {
        if (!axes.includes(name)) return [[name, stride]];
        return name === axes[0] ? [[into, last]] : [];
      });
      return { ...source, strides: new Map(strides) };
    }
    case "slice": {
      const { axis, start } = attributesOf(node, "slice");
      return { ...source, offset: addSums(source.offset, constantSum(start * source.strides.get(axis)!)) };
    }
    case "last": {
      const { axis } = attributesOf(node, "last");
      const size = input.type.axes.find((one) => one.name === axis)!.size;
      const before = addSums(sumOf(size), constantSum(-1));
      return { ...source, offset: addSums(source.offset, scaleSum(before, source.strides.get(axis)!)) };
    }
    case "broadcast": {
      // Along an axis that the source lacks, every place is the same one.
      const { axes } = attributesOf(node, "broadcast");
      return { ...source, strides: new Map(axes.map(({ name }) => [name, source.strides.get(name) ?? 0])) };
    }
    case "cast":
    case "after":
      return source;
    default:
      return undefined;
  }
}

/** Whether the axes, in this order, are one run of neighbouring elements in the view. */
export function isContiguous(view: View, axes: readonly Axis[]): boolean {
  let expected = 1;
  for (let i = axes.length - 1; i >= 0; i--) {
    if (view.strides.get(axes[i]!.name) !== expected) return false;
    expected *= maxSize(axes[i]!.size);
  }
  return true;
}
