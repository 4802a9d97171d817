/**
 * Which layers of a graph can be written as a loop. A loop adds its nodes turn by turn, so the turns must be whole,
 * stand one behind the other, and hand nothing to the outside but what each turn hands to the next.
 */
import { carriedKey, foldGraph, type Repeat } from "../fold.ts";
import type { Graph, GraphNode, NodeId } from "../types.ts";

export interface Loop {
  /** `model.layers.`: what stands before the number. */
  readonly prefix: string;
  /** The number of the first turn. */
  readonly first: number;
  readonly turns: readonly (readonly GraphNode[])[];
  /** What turns hand on: the place in a turn, and the node that the first turn takes in its stead. */
  readonly carried: ReadonlyMap<number, NodeId>;
  /** The place in the turn before that an input is read from. */
  readonly handed: (place: number, input: number) => number | undefined;
}

/** The loops of a graph by the id of their first node. */
export function loopsOf(graph: Graph): ReadonlyMap<NodeId, Loop> {
  const readers = readersOf(graph);
  const loops = new Map<NodeId, Loop>();
  for (const item of foldGraph(graph)) {
    const loop = item.tag === "repeat" ? loopOf(item, readers) : undefined;
    if (loop !== undefined) loops.set(loop.turns[0]![0]!.id, loop);
  }
  return loops;
}

/** Stands for the graph's outputs among the readers of a node: it is in no turn. */
const outside = -1;

function readersOf(graph: Graph): readonly (readonly NodeId[])[] {
  const readers: NodeId[][] = graph.nodes.map(() => []);
  for (const { id, inputs } of graph.nodes) for (const input of inputs) readers[input]!.push(id);
  for (const { node } of graph.outputs) readers[node]!.push(outside);
  return readers;
}

/** A loop in a repetition, without first turns that hold shared nodes and last ones that are read from afar. */
function loopOf(repeat: Repeat, readers: readonly (readonly NodeId[])[]): Loop | undefined {
  const { ranges } = repeat;
  const handedPlaces = new Set(repeat.carried.values());
  let [start, end] = [ranges.length, ranges.length];
  while (start > 0 && isWhole(ranges[start - 1]!) && (start === ranges.length || isNext(ranges, start)))
    start--;
  const isReadFromAfar = (range: readonly GraphNode[]) => {
    const last = range.at(-1)!.id;
    return range.some(({ id }, place) => {
      const far = readers[id]!.some((reader) => reader === outside || reader > last);
      return far && !handedPlaces.has(place);
    });
  };
  while (end > start && isReadFromAfar(ranges[end - 1]!)) end--;
  // What the first turn takes from the turn before must be one value for each place.
  for (; end - start >= 2; start++) {
    const carried = firstCarried(repeat, ranges[start]!);
    if (carried === undefined) continue;
    const turns = ranges.slice(start, end);
    if (turns.slice(0, -1).some((turn, index) => isReadPast(turn, turns[index + 1]!, readers, handedPlaces)))
      return undefined;
    return {
      prefix: repeat.prefix,
      first: repeat.first + start,
      turns,
      carried,
      handed: (place, input) => repeat.carried.get(carriedKey(place, input)),
    };
  }
  return undefined;
}

const isWhole = (range: readonly GraphNode[]) =>
  range.every((node, place) => node.id === range[0]!.id + place);
const isNext = (ranges: readonly (readonly GraphNode[])[], at: number) =>
  ranges[at]![0]!.id === ranges[at - 1]!.at(-1)!.id + 1;

/** Whether something behind the next turn, or at no handed place, reads a turn. */
function isReadPast(
  turn: readonly GraphNode[],
  next: readonly GraphNode[],
  readers: readonly (readonly NodeId[])[],
  handed: ReadonlySet<number>,
): boolean {
  const [own, end] = [turn.at(-1)!.id, next.at(-1)!.id];
  return turn.some(({ id }, place) =>
    readers[id]!.some((reader) => reader === outside || reader > end || (reader > own && !handed.has(place))),
  );
}

function firstCarried(repeat: Repeat, turn: readonly GraphNode[]): ReadonlyMap<number, NodeId> | undefined {
  const carried = new Map<number, NodeId>();
  for (const [place, node] of turn.entries()) {
    for (const [index, input] of node.inputs.entries()) {
      const handed = repeat.carried.get(carriedKey(place, index));
      if (handed === undefined) continue;
      if ((carried.get(handed) ?? input) !== input) return undefined;
      carried.set(handed, input);
    }
  }
  return carried;
}
