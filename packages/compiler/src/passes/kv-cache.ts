/**
 * kvCache: attention over the present chunk becomes attention over a cache of fixed capacity.
 *
 * - Each attend appends its keys and values to a state [kvHeads, capacity, headDim] at index `past`, in place, and
 *   reads the valid part, `keys = past + seq` long. One token, a chunk on a past and a whole prompt are one program.
 * - A query's index among the keys is `past + i`; its absolute position, which RoPE sees, is `dropped + past + i`.
 *   Clipping to a maximum context shifts the cache and raises `dropped`: keys keep the rotation they were stored with.
 */
import {
  type Axis,
  type Dtype,
  findAxis,
  type Graph,
  type GraphBuilder,
  maxSize,
  unsupportedProblem,
  userProblem,
  WeftError,
} from "@weft/dsl";
import type { Pass } from "./pass.ts";
import { placeOf } from "./pass.ts";
import { attributesOf, rewriteGraph } from "./rewrite.ts";

export interface KvCacheOptions {
  /** The most tokens that the cache holds. */
  readonly capacity: number;
  /** How keys and values are stored. */
  readonly dtype: Dtype;
  readonly sequence?: string;
}

/** The symbols that a cached program adds: `past` and `dropped` are given at each run, `keys` is their consequence. */
export const cacheSymbols = { past: "past", dropped: "dropped", keys: "keys" } as const;

/** Absolute positions stay below this; f32 holds every integer up to it exactly. */
const largestPosition = 2 ** 24;

export function kvCache(options: KvCacheOptions): Pass {
  const sequence = options.sequence ?? "seq";
  return {
    name: "kvCache",
    summary: `keys and values are kept in states of capacity ${options.capacity}; positions count from the past`,
    run: (graph, log) => {
      const chunk = sequenceAxis(graph, sequence);
      if (!Number.isSafeInteger(options.capacity) || options.capacity < maxSize(chunk.size)) {
        throw new WeftError([
          userProblem("kvCache", "the capacity must hold at least one chunk", {
            given: `capacity ${options.capacity}, chunk ${maxSize(chunk.size)}`,
            remedy: "raise the capacity or shorten the chunk",
          }),
        ]);
      }
      const seen = new Map<string, number>();
      let declared = false;
      return rewriteGraph(graph, (builder, node, inputs) => {
        if (!declared) declareSymbols(builder, sequence, maxSize(chunk.size), options.capacity);
        declared = true;
        if (node.op === "position") {
          const { axis } = attributesOf(node, "position");
          if (axis.name !== sequence) return undefined;
          log.fired("position counts from the past", placeOf(node));
          const index = slotIndex(builder, axis);
          return builder.add("add", [index, builder.add("symbol", [], { name: cacheSymbols.dropped })], {});
        }
        if (node.op !== "attend") return undefined;
        const attributes = attributesOf(node, "attend");
        if (attributes.sequence !== sequence || attributes.keys !== undefined) return undefined;
        if (inputs.length > 4) {
          throw new WeftError([
            unsupportedProblem("kvCache", "a cache holds one document, so attention must not have starts", {
              path: node.origin.path,
              remedy: "leave out packDocuments where there is a cache",
            }),
          ]);
        }
        const count = seen.get(node.origin.path) ?? 0;
        seen.set(node.origin.path, count + 1);
        const prefix = `${node.origin.path === "" ? "attend" : node.origin.path}.cache${count === 0 ? "" : count}`;
        const append = (input: number, name: string) => {
          const value = graph.nodes[node.inputs[input]!]!.type;
          const [kvHeads, headDim] = [
            findAxis(value, attributes.kvHeads),
            findAxis(value, attributes.headDim),
          ];
          if (value.axes.length !== 3 || kvHeads === undefined || headDim === undefined) {
            throw new WeftError([
              unsupportedProblem(
                "kvCache",
                "keys and values must have the axes sequence, kvHeads and headDim only",
                {
                  given: value.axes.map((axis) => axis.name).join(", "),
                  path: node.origin.path,
                  remedy: "run one sequence per cache",
                },
              ),
            ]);
          }
          const state = `${prefix}.${name}`;
          const into = (size: Axis["size"]): Axis[] => [kvHeads, { name: cacheSymbols.keys, size }, headDim];
          builder.declareState({ name: state, type: { dtype: options.dtype, axes: into(options.capacity) } });
          return builder.add("stateAppend", [inputs[input]!], {
            state,
            axis: sequence,
            into: cacheSymbols.keys,
            past: cacheSymbols.past,
            axes: into({ symbol: cacheSymbols.keys, max: options.capacity }),
            dtype: options.dtype,
          });
        };
        log.fired("attend reads a cache", placeOf(node));
        const queries = findAxis(builder.type(inputs[0]!), sequence)!;
        const [key, value] = [append(1, "key"), append(2, "value")];
        return builder.add("attend", [inputs[0]!, key, value, slotIndex(builder, queries)], {
          ...attributes,
          keys: cacheSymbols.keys,
        });
      });
    },
  };
}

function slotIndex(builder: GraphBuilder, axis: Axis): number {
  const past = builder.add("symbol", [], { name: cacheSymbols.past });
  return builder.add("add", [builder.add("iota", [], { axis }), past], {});
}

function declareSymbols(builder: GraphBuilder, sequence: string, chunk: number, capacity: number): void {
  builder.declareSymbol({ name: sequence, max: chunk });
  // A step has at least one token, so a full cache is never its past; else a step of one token could end behind it.
  builder.declareSymbol({ name: cacheSymbols.past, max: capacity - 1 });
  builder.declareSymbol({ name: cacheSymbols.dropped, max: largestPosition - capacity });
  builder.declareSymbol({ name: cacheSymbols.keys, max: capacity, sum: [cacheSymbols.past, sequence] });
}

function sequenceAxis(graph: Graph, sequence: string): Axis {
  for (const node of graph.nodes) {
    const found = node.op === "input" ? findAxis(node.type, sequence) : undefined;
    if (found !== undefined) return found;
  }
  throw new WeftError([
    userProblem("kvCache", `an input must lead with the axis "${sequence}"`, {
      remedy: "expand the block with the sequence axis among its leading axes",
    }),
  ]);
}
