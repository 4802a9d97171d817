/** Places of boxes and lines of a drawing, found by dagre. */
import { Graph, layout } from "@dagrejs/dagre";

export interface Box {
  readonly id: string;
  readonly width: number;
  readonly height: number;
  /** The cluster around it. */
  readonly parent: string | undefined;
  readonly isCluster: boolean;
}

export interface Line {
  readonly from: string;
  readonly to: string;
}

export interface Placed {
  readonly width: number;
  readonly height: number;
  /** Centre and size, by id. */
  readonly boxes: ReadonlyMap<string, Rectangle>;
  readonly lines: readonly { readonly line: Line; readonly points: readonly Point[] }[];
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Rectangle extends Point {
  readonly width: number;
  readonly height: number;
}

/** Of more boxes the ranks are found by a quicker way, which makes some lines longer. */
const mostExact = 150;

export function place(boxes: readonly Box[], lines: readonly Line[]): Placed {
  const graph = new Graph({ compound: true });
  const ranker = boxes.length > mostExact ? "tight-tree" : "network-simplex";
  graph.setGraph({ rankdir: "TB", nodesep: 14, ranksep: 26, edgesep: 8, marginx: 8, marginy: 24, ranker });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { id, width, height } of boxes) graph.setNode(id, { width, height });
  for (const { id, parent } of boxes) if (parent !== undefined) graph.setParent(id, parent);
  for (const { from, to } of lines) graph.setEdge(from, to);
  layout(graph);
  const found = new Map<string, Rectangle>();
  for (const { id } of boxes) {
    const { x, y, width, height } = graph.node(id) as Rectangle;
    found.set(id, { x, y, width, height });
  }
  makeRoomForNames(boxes, found);
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number };
  return {
    width,
    height,
    boxes: found,
    lines: lines.map((line) => ({
      line,
      points: (graph.edge(line.from, line.to) as { points?: Point[] }).points ?? [],
    })),
  };
}

/** The name of a cluster stands above all that is in it, the names of inner clusters included. */
const nameHeight = 17;

function makeRoomForNames(boxes: readonly Box[], found: Map<string, Rectangle>): void {
  const tops = new Map<string, number>();
  const topOf = (id: string) => tops.get(id) ?? found.get(id)!.y - found.get(id)!.height / 2;
  // Inner boxes stand behind the clusters around them.
  for (const { id, parent, isCluster } of boxes.toReversed()) {
    if (isCluster) {
      const { x, y, width, height } = found.get(id)!;
      const bottom = y + height / 2;
      // A cluster that holds clusters has been told how high these reach.
      const top = Math.min(y - height / 2 - nameHeight, (tops.get(id) ?? y) - nameHeight);
      tops.set(id, top);
      found.set(id, { x, y: (top + bottom) / 2, width, height: bottom - top });
    }
    if (parent !== undefined) {
      const known = tops.get(parent);
      tops.set(parent, Math.min(known ?? Number.POSITIVE_INFINITY, topOf(id)));
    }
  }
}
