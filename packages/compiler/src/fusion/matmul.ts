/** Matmul groups: which products fit the template, which share an input, what joins as epilogue and prologue. */
import { type Axis, type GraphNode, maxSize, type NodeId } from "@weft/dsl";
import { attributesOf } from "../passes/rewrite.ts";
import { type Grower, type Growth, growBackward, growForward, prune } from "./grow.ts";
import { type FusionContext, sameSpace } from "./legality.ts";
import { type FusedMatmul, type MatmulColumns, type Space, seedOf } from "./types.ts";
import { isContiguous } from "./view.ts";

interface MatmulShape {
  readonly rows: readonly Axis[];
  readonly columns: readonly Axis[];
  readonly contracted: readonly Axis[];
}

/** The template wants a weight [columns, contracted] as a checkpoint stores it, and an input [rows, contracted]. */
export function matmulShape(context: FusionContext, node: GraphNode): MatmulShape | string {
  const { graph, classified } = context;
  const { contract } = attributesOf(node, "dot");
  const [input, weight] = [graph.nodes[node.inputs[0]!]!, graph.nodes[node.inputs[1]!]!];
  if (!isWeight(context, weight)) return "the right side is not a parameter";
  if (classified.kinds[input.id] === "inline") return "the left side is index arithmetic";
  const columns = weight.type.axes.slice(0, weight.type.axes.length - contract.length);
  const contracted = weight.type.axes.slice(columns.length);
  if (contracted.some((one, i) => one.name !== contract[i]))
    return "the weight does not end with the contracted axes";
  if (columns.length === 0) return "the weight has no columns";
  const rows = input.type.axes.slice(0, input.type.axes.length - contract.length);
  const trailing = input.type.axes.slice(rows.length);
  if (trailing.some((one, i) => one.name !== contract[i]))
    return "the input does not end with the contracted axes";
  if (columns.some((one) => rows.some((other) => other.name === one.name)))
    return "both sides keep a common axis";
  if ([...columns, ...contracted].some((one) => typeof one.size !== "number"))
    return "a weight's axis has a symbolic size";
  return { rows, columns, contracted };
}

/**
 * A weight under training is a state, and under a narrower policy the products read its rounding. One in blocks is stored
 * as a matrix and seen with the axes of the model.
 */
function isWeight(context: FusionContext, { op, inputs, type }: GraphNode): boolean {
  const { graph } = context;
  if (op === "splitAxis") return isWeight(context, graph.nodes[inputs[0]!]!);
  const isStored = (one: string) => one === "parameter" || one === "stateRead";
  return isStored(op) || (op === "cast" && type.dtype === "bf16" && isStored(graph.nodes[inputs[0]!]!.op));
}

function columnSpace(shape: MatmulShape): Space {
  return { loops: [...shape.rows, ...shape.columns.slice(0, -1)], row: shape.columns.slice(-1) };
}

/** Forms the matmul group that `first` leads, or gives the reason why the template does not fit. */
export function formMatmul(
  growth: Growth,
  first: NodeId,
): { group: FusedMatmul; nodes: Set<NodeId> } | string {
  const { context, partition } = growth;
  const { graph } = context;
  const shape = matmulShape(context, graph.nodes[first]!);
  if (typeof shape === "string") return shape;
  const operand = graph.nodes[first]!.inputs[0]!;
  const view = context.classified.views[operand]!;
  if (!isContiguous(view, shape.contracted))
    return "the contracted axes of the input do not lie in one piece";

  const dots = [first];
  const shapes = new Map([[first, shape]]);
  for (const other of context.consumers[operand]!) {
    const node = graph.nodes[other]!;
    if (other <= first || node.op !== "dot" || node.inputs[0] !== operand || !partition.isFree(other))
      continue;
    const own = matmulShape(context, node);
    if (typeof own === "string" || own.contracted.length !== shape.contracted.length) continue;
    if (partition.refuseTogether(new Set([...dots, other])) !== undefined) {
      growth.refuse("sibling matmuls", other, first, "one of them waits for the other");
      continue;
    }
    dots.push(other);
    shapes.set(other, own);
  }

  const nodes = new Set<NodeId>(dots);
  const component = new Map<NodeId, NodeId>(dots.map((id) => [id, id]));
  const root = (id: NodeId): NodeId => (component.get(id) === id ? id : root(component.get(id)!));
  const rootsOf = (id: NodeId) => [
    ...new Set(graph.nodes[id]!.inputs.filter((input) => nodes.has(input)).map((input) => root(input))),
  ];
  const grower: Grower = { rule: "matmul epilogue", seed: first };
  growForward(
    growth,
    nodes,
    (candidate) => {
      const roots = rootsOf(candidate);
      if (roots.length === 0) return "reads nothing of this kernel";
      const spaces = roots.map((id) => columnSpace(shapes.get(id)!));
      if (spaces.some((one) => !sameSpace(one, spaces[0]!))) return "joins matmuls of different columns";
      return spaces[0]!;
    },
    grower,
    (space) => {
      const columns = space.loops.slice(shape.rows.length);
      const groups = columns.reduce((product, one) => product * maxSize(one.size), 1);
      return groups < 2 ? "a row of all columns is never in one place" : undefined;
    },
    (id) => {
      const [one, ...others] = rootsOf(id);
      component.set(id, one!);
      for (const other of others) component.set(other, one!);
    },
  );
  prune(growth, nodes, new Set(dots), grower);
  const columns = splitColumns(nodes, dots, root, (id) => columnSpace(shapes.get(id)!));
  const prologueSpace: Space = { loops: shape.rows, row: shape.contracted };
  const group: FusedMatmul = {
    kind: "matmul",
    operand,
    prologue: { space: prologueSpace, nodes: new Set() },
    columns,
  };
  return { group, nodes };
}

/** After pruning, dots that no longer meet stand apart. */
function splitColumns(
  nodes: ReadonlySet<NodeId>,
  dots: readonly NodeId[],
  root: (id: NodeId) => NodeId,
  spaceOf: (dot: NodeId) => Space,
): MatmulColumns[] {
  const byRoot = new Map<NodeId, { dots: NodeId[]; nodes: Set<NodeId> }>();
  for (const id of [...nodes].sort((a, b) => a - b)) {
    const key = root(id);
    const entry = byRoot.get(key) ?? { dots: [], nodes: new Set<NodeId>() };
    byRoot.set(key, entry);
    entry.nodes.add(id);
    if (dots.includes(id)) entry.dots.push(id);
  }
  return [...byRoot.values()].flatMap((entry) => {
    const joined = entry.nodes.size > entry.dots.length || entry.dots.length === 1;
    const parts = joined ? [entry] : entry.dots.map((dot) => ({ dots: [dot], nodes: new Set([dot]) }));
    return parts.map((one) => ({ dots: one.dots, nodes: one.nodes, space: spaceOf(one.dots[0]!) }));
  });
}

/** What only this group's input needs is computed as its rows are read. */
export function growPrologue(growth: Growth, group: FusedMatmul, members: ReadonlySet<NodeId>): Set<NodeId> {
  const dots = new Set(group.columns.flatMap((one) => one.dots));
  const prologue = new Set<NodeId>();
  const grower: Grower = { rule: "matmul prologue", seed: seedOf(group) };
  growBackward(growth, prologue, dots, [group.operand], group.prologue.space, grower);
  if (!prologue.has(group.operand)) return new Set();
  const unordered = growth.partition.refuseTogether(new Set([...members, ...prologue]));
  if (unordered !== undefined) {
    growth.refuse(grower.rule, group.operand, grower.seed, unordered);
    return new Set();
  }
  return prologue;
}
