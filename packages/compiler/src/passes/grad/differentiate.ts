/**
 * Reverse mode: from the cotangent of one value to the cotangents of values behind it.
 *
 * 1. What the value depends on is listed, not past the targets. Nodes stand in execution order, so ids are the order.
 * 2. A node carries a gradient when it is a float, its op does not stop it, and a target stands behind it.
 * 3. From the end to the front, each node that carries hands its cotangent on by its op's rule. What several readers
 *    hand to one node is summed before its own turn comes.
 *
 * A composite without a rule is differentiated through its definition by the same procedure, with its inputs as
 * targets. The forward nodes stay as they are; what the definition computes is shared with them once they are taken
 * apart. What is read of a state came from the write before it, if there was one.
 */
import {
  type GraphBuilder,
  type GraphNode,
  holdsFloats,
  inferType,
  type NodeId,
  type OpDefinition,
  opTable,
  type Problem,
  unsupportedProblem,
  type Vjp,
  type VjpSite,
} from "@weft/dsl";
import { fitCotangent } from "./cotangent.ts";

/**
 * The cotangents of those targets that `root` depends on. Nodes are added to the builder, each with the origin of the
 * forward node that it belongs to.
 * @param cotangent of `root`: f32, with its axes in order.
 * @param problems receives each op whose derivative is missing.
 */
export function differentiate(
  builder: GraphBuilder,
  root: NodeId,
  cotangent: NodeId,
  targets: ReadonlySet<NodeId>,
  problems: Problem[],
): ReadonlyMap<NodeId, NodeId> {
  const sourcesOf = sourcesIn(builder, root);
  const order = dependenciesOf(root, targets, sourcesOf);
  const carrying = carryingNodes(builder, order, targets, sourcesOf);
  const cotangents = new Map<NodeId, NodeId>(carrying.has(root) ? [[root, cotangent]] : []);
  const outer = builder.origin;
  for (let at = order.length - 1; at >= 0; at--) {
    const node = builder.node(order[at]!);
    const own = cotangents.get(node.id);
    if (own === undefined || targets.has(node.id)) continue;
    builder.origin = node.origin;
    const sources = sourcesOf(node.id);
    const needed = sources.map((id) => carrying.has(id));
    const handed = node.op === "stateRead" ? [own] : handOn(builder, node, own, needed, problems);
    for (const [index, input] of sources.entries()) {
      const given = handed[index];
      if (given === undefined || !needed[index]) continue;
      const fitting = fitCotangent(builder, given, input);
      const present = cotangents.get(input);
      cotangents.set(input, present === undefined ? fitting : builder.add("add", [present, fitting], {}));
    }
  }
  builder.origin = outer;
  return new Map([...cotangents].filter(([id]) => targets.has(id)));
}

/** What the value of a node comes from: its inputs; of a `stateRead`, the latest write to the state before it. */
type SourcesOf = (id: NodeId) => readonly NodeId[];

function sourcesIn(builder: GraphBuilder, root: NodeId): SourcesOf {
  const latest = new Map<string, NodeId>();
  const written = new Map<NodeId, NodeId>();
  for (let id = 0; id <= root; id++) {
    const { op, attributes } = builder.node(id);
    if (op === "stateWrite" || op === "stateAppend") latest.set(attributes.state as string, id);
    const write = op === "stateRead" ? latest.get(attributes.state as string) : undefined;
    if (write !== undefined) written.set(id, write);
  }
  return (id) => {
    const write = written.get(id);
    return write === undefined ? builder.node(id).inputs : [write];
  };
}

/** Everything that a value is computed from, in execution order; targets are taken as given. */
function dependenciesOf(root: NodeId, targets: ReadonlySet<NodeId>, sourcesOf: SourcesOf): NodeId[] {
  const found = new Set([root]);
  const pending = [root];
  for (let id = pending.pop(); id !== undefined; id = pending.pop()) {
    if (targets.has(id)) continue;
    for (const input of sourcesOf(id)) {
      if (found.has(input)) continue;
      found.add(input);
      pending.push(input);
    }
  }
  return [...found].sort((a, b) => a - b);
}

function carryingNodes(
  builder: GraphBuilder,
  order: readonly NodeId[],
  targets: ReadonlySet<NodeId>,
  sourcesOf: SourcesOf,
): ReadonlySet<NodeId> {
  const carrying = new Set<NodeId>();
  for (const id of order) {
    const node = builder.node(id);
    if (!holdsFloats(node.type.dtype)) continue;
    const stops = opTable[node.op].vjp.tag === "stop" && node.op !== "stateRead";
    const passes = !stops && sourcesOf(id).some((source) => carrying.has(source));
    if (passes || targets.has(id)) carrying.add(id);
  }
  return carrying;
}

/** The cotangents of a node's inputs, as its op says. */
function handOn(
  builder: GraphBuilder,
  node: GraphNode,
  cotangent: NodeId,
  needed: readonly boolean[],
  problems: Problem[],
): readonly (NodeId | undefined)[] {
  // The attributes belong to the op; the pair is one that the type system cannot follow through a lookup.
  const { vjp, meaning } = opTable[node.op] as unknown as OpDefinition & { readonly vjp: Vjp<never> };
  switch (vjp.tag) {
    case "rule": {
      const { inputs, attributes, id: result } = node;
      const site = { builder, inputs, attributes, result, cotangent, needed };
      const given = vjp.rule(site as unknown as VjpSite<never>);
      return typeof given === "string" ? refuse(node, given, problems) : given;
    }
    case "definition": {
      if (meaning.tag !== "definition") return refuse(node, "it has no definition", problems);
      const attributes = node.attributes as never;
      const origin = builder.origin;
      builder.origin = { ...origin, composite: origin.composite ?? node.op };
      const types = node.inputs.map((id) => builder.type(id));
      const defined = meaning.define(
        builder,
        node.inputs,
        attributes,
        inferType(node.op, types, attributes, origin),
      );
      const wanted = new Set(node.inputs.filter((_, index) => needed[index]));
      const found = differentiate(builder, defined, cotangent, wanted, problems);
      builder.origin = origin;
      // An input that stands twice has one cotangent, which holds both its uses.
      return node.inputs.map((id, index) => (node.inputs.indexOf(id) === index ? found.get(id) : undefined));
    }
    case "missing":
      return refuse(node, vjp.reason, problems);
    case "stop":
      return [];
    default:
      return vjp satisfies never;
  }
}

function refuse(node: GraphNode, reason: string, problems: Problem[]): readonly [] {
  const { path, source } = node.origin;
  problems.push(
    unsupportedProblem(
      node.op,
      "the loss must not depend on a parameter through an op without a derivative",
      {
        path,
        ...(source === undefined ? {} : { location: source }),
        remedy: reason,
      },
    ),
  );
  return [];
}
