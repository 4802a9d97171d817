/** What a picture of a graph shows, whatever language it is drawn in: boxes in nested clusters, and arrows. */
import { foldGraph, type Repeat, withoutNumber } from "./fold.ts";
import { printType, printValue } from "./text/print.ts";
import type { Graph, GraphNode, NodeId } from "./types.ts";

export interface DrawOptions {
  /** Draw repeated layers once, with dashed arrows from each turn to the next. */
  readonly fold?: boolean;
  /** Write the type of the value on each arrow. */
  readonly types?: boolean;
}

export interface Box {
  readonly id: string;
  readonly lines: readonly string[];
  readonly kind: "op" | "leaf" | "output";
}

/** Boxes of one block; the outermost cluster has the graph's name. */
export interface Cluster {
  readonly label: string;
  readonly boxes: readonly Box[];
  readonly clusters: readonly Cluster[];
}

export interface Arrow {
  readonly from: string;
  readonly to: string;
  readonly label?: string;
  /** From one turn of a repetition to the next. */
  readonly next: boolean;
}

export interface Drawing {
  readonly root: Cluster;
  readonly arrows: readonly Arrow[];
}

/** Lays a graph out in clusters by block path. */
export function drawGraph(graph: Graph, { fold = false, types = false }: DrawOptions = {}): Drawing {
  const root = newCluster(graph.name);
  const arrows: Arrow[] = [];
  const seen = new Set<string>();
  const drawn = new Map<NodeId, NodeId>();
  const draw = (node: GraphNode, path: string) => {
    drawn.set(node.id, node.id);
    clusterAt(root, path).boxes.push(boxOf(node));
  };
  const connect = (from: NodeId, to: string, next = false) => {
    const source = drawn.get(from) ?? from;
    const type = graph.nodes[source]?.type;
    const label = types && type !== undefined ? { label: printType(type) } : {};
    const arrow = { from: `n${source}`, to, next, ...label };
    const key = `${source} ${to} ${next}`;
    if (!seen.has(key)) arrows.push(arrow);
    seen.add(key);
  };
  for (const item of fold ? foldGraph(graph) : graph.nodes.map((node) => ({ tag: "node" as const, node }))) {
    if (item.tag === "node") {
      draw(item.node, item.node.origin.path);
      for (const id of item.node.inputs) connect(id, `n${item.node.id}`);
    } else drawRepeat(item, draw, connect, drawn);
  }
  for (const [index, { name, node }] of graph.outputs.entries()) {
    root.boxes.push({ id: `out${index}`, lines: [name], kind: "output" });
    connect(node, `out${index}`);
  }
  return { root: collapse(root), arrows };
}

function drawRepeat(
  { prefix, first, ranges, carried }: Repeat,
  draw: (node: GraphNode, path: string) => void,
  connect: (from: NodeId, to: string, next?: boolean) => void,
  drawn: Map<NodeId, NodeId>,
): void {
  const body = ranges[0]!;
  for (const node of body) {
    const path = withoutNumber(node.origin.path, prefix, first);
    draw(node, path.replace(`${prefix}*`, `${prefix}* x${ranges.length}`));
  }
  for (const range of ranges)
    for (const [place, node] of range.entries()) drawn.set(node.id, body[place]!.id);
  for (const [place, node] of body.entries()) {
    for (const [input, id] of node.inputs.entries()) {
      connect(id, `n${node.id}`);
      const handed = carried.get(`${place}/${input}`);
      if (handed !== undefined) connect(body[handed]!.id, `n${node.id}`, true);
    }
  }
}

function boxOf({ id, op, attributes, type }: GraphNode): Box {
  const kind = op === "input" || op === "parameter" || op === "constant" ? "leaf" : "op";
  const shown = op === "constant" ? attributes.value : kind === "leaf" ? attributes.name : undefined;
  const detail = typeof shown === "string" ? shown : shown === undefined ? "" : printValue(shown);
  return { id: `n${id}`, lines: [detail === "" ? op : `${op} ${detail}`, printType(type)], kind };
}

interface OpenCluster extends Cluster {
  readonly boxes: Box[];
  readonly clusters: OpenCluster[];
  readonly byLabel: Map<string, OpenCluster>;
}

function newCluster(label: string): OpenCluster {
  return { label, boxes: [], clusters: [], byLabel: new Map() };
}

/** Deeper paths than anyone draws stay in one label, so that no path can exhaust the stack. */
const deepest = 12;

function clusterAt(root: OpenCluster, path: string): OpenCluster {
  if (path === "") return root;
  const segments = path.split(".");
  const labels = [...segments.slice(0, deepest - 1), segments.slice(deepest - 1).join(".")];
  let cluster = root;
  for (const label of labels.filter((one) => one !== "")) {
    let child = cluster.byLabel.get(label);
    if (child === undefined) {
      child = newCluster(label);
      cluster.clusters.push(child);
      cluster.byLabel.set(label, child);
    }
    cluster = child;
  }
  return cluster;
}

/** Clusters that hold nothing but one other become one: `model.layers.0`. */
function collapse({ label, boxes, clusters }: Cluster): Cluster {
  return { label, boxes, clusters: clusters.map((child) => collapse(merged(child))) };
}

function merged(cluster: Cluster): Cluster {
  const [only, ...more] = cluster.clusters;
  if (only === undefined || more.length > 0 || cluster.boxes.length > 0) return cluster;
  return merged({ ...only, label: `${cluster.label}.${only.label}` });
}
