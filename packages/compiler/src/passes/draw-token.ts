/**
 * drawToken: the next token is drawn from the candidates where they are, and kept in a state, so that the next step can
 * be begun before anybody has seen it: a token of -1 stands for the one that was drawn last.
 *
 * The filters and their order are those of a sampler on the host (temperature, top-k, top-p, min-p, then one uniform
 * number over what is left in the order of ids), in f32. Where a sum of f64 would fall on the other side of a threshold
 * the two differ; a host that must know looks at the candidates and draws again.
 */
import { findAxis, type GraphBuilder, type NodeId, userProblem, valueAndIndex, WeftError } from "@weft/dsl";
import { candidatesOutput } from "./candidates.ts";
import { type Pass, placeOf } from "./pass.ts";
import { attributesOf, copyNode, rewriteGraph } from "./rewrite.ts";

export interface DrawTokenOptions {
  /** The input of token ids, i32[sequence]. */
  readonly tokens: string;
  readonly sequence: string;
}

/** The token that was drawn, i32[1]: an output, and the state that a following step reads. */
export const drawnToken = "drawn";

/** The input that says how to draw, f32[drawFields.length], and its elements in order. */
export const drawInput = "draw";
export const drawFields = [
  /** Logits are multiplied by it: 1 / temperature. 0 with a count of 1 is greedy. */
  "scale",
  /** How many candidates are looked at: top-k. */
  "count",
  /** The likeliest ones up to and with the one at which their sum reaches this share: top-p; 1 keeps all. */
  "nucleus",
  /** Those with at least this share of the likeliest one's probability: min-p. */
  "least",
  /** A random number in [0, 1). */
  "uniform",
] as const;
export type DrawField = (typeof drawFields)[number];

/**
 * Goes after `candidates`, whose output it draws from: [sequence 1, candidate, valueAndIndex].
 * A program whose sequence has the constant size 1 can begin with the token that was drawn before; others only draw.
 *
 * @throws WeftError when the run finds no candidates of one position, or no such input.
 */
export function drawToken({ tokens, sequence }: DrawTokenOptions): Pass {
  return {
    name: "drawToken",
    summary: "the next token is drawn on the device, and -1 stands for it in the next step",
    run: (graph, log) => {
      const source = graph.outputs.find(({ name }) => name === candidatesOutput)?.node;
      const type = source === undefined ? undefined : graph.nodes[source]!.type;
      if (type?.axes.length !== 3 || findAxis(type, sequence)?.size !== 1) {
        throw new WeftError([
          userProblem("drawToken", "the graph must have the candidates of one position", {
            given: graph.outputs.map(({ name }) => name).join(", "),
            remedy: "run lastPosition and candidates before",
          }),
        ]);
      }
      const drawn = { dtype: "i32", axes: [{ name: sequence, size: 1 }] } as const;
      let found = false;
      const rewritten = rewriteGraph(graph, (builder, node, inputs) => {
        if (node.op === "input" && attributesOf(node, "input").name === tokens) {
          found = true;
          if (findAxis(node.type, sequence)?.size !== 1) return undefined;
          log.fired("-1 stands for the token drawn last", tokens);
          const given = copyNode(builder, node, inputs);
          const kept = builder.add("stateRead", [], { state: drawnToken, ...drawn });
          const isKept = builder.add("less", [given, builder.constant(0, "i32")], {});
          return builder.add("select", [isKept, kept, given], {});
        }
        if (node.id !== source) return undefined;
        log.fired("a token is drawn", placeOf(node));
        const candidates = copyNode(builder, node, inputs);
        const token = builder.add("cast", [draw(builder, candidates, sequence)], { dtype: "i32" });
        builder.declareState({ name: drawnToken, type: drawn });
        builder.add("stateWrite", [token], { state: drawnToken });
        return candidates;
      });
      if (!found) {
        throw new WeftError([
          userProblem("drawToken", `the graph must have an input "${tokens}"`, {
            given: graph.nodes
              .flatMap((node) => (node.op === "input" ? [attributesOf(node, "input").name] : []))
              .join(", "),
          }),
        ]);
      }
      const write = rewritten.nodes.find(
        (one) => one.op === "stateWrite" && attributesOf(one, "stateWrite").state === drawnToken,
      )!;
      return { ...rewritten, outputs: [...rewritten.outputs, { name: drawnToken, node: write.inputs[0]! }] };
    },
  };
}

/** The id that is drawn, f32[sequence], of candidates [sequence, candidate, valueAndIndex], the likeliest first. */
function draw(builder: GraphBuilder, candidates: NodeId, sequence: string): NodeId {
  const candidate = builder
    .type(candidates)
    .axes.find(({ name }) => name !== sequence && name !== valueAndIndex.name)!;
  const axis = candidate.name;
  const other = `other_${axis}`;
  const add = builder.add.bind(builder);
  const one = builder.constant(1);
  const zero = builder.constant(0);
  const part = (index: number) =>
    add("mergeAxes", [add("slice", [candidates], { axis: valueAndIndex.name, start: index, size: 1 })], {
      axes: [axis, valueAndIndex.name],
      into: axis,
    });
  const fields = add("input", [], {
    name: drawInput,
    dtype: "f32",
    axes: [{ name: drawInput, size: drawFields.length }],
  });
  const field = (name: DrawField) => {
    const start = drawFields.indexOf(name);
    const cut = add("slice", [fields], { axis: drawInput, start, size: 1 });
    return add("rename", [cut], { from: drawInput, to: sequence });
  };
  const renamed = (node: NodeId) => add("rename", [node], { from: axis, to: other });
  /** Sum of `weights` over the candidates that do not come `after` each one by `order`. */
  const sumUpTo = (weights: NodeId, order: NodeId, after: "less" | "lessEqual") => {
    const comesAfter = add(after, [order, renamed(order)], {});
    return add("reduceSum", [add("select", [comesAfter, zero, renamed(weights)], {})], { axis: other });
  };
  const sum = (weights: NodeId) => add("reduceSum", [weights], { axis });
  const least = (ids: NodeId) => add("neg", [add("reduceMax", [add("neg", [ids], {})], { axis })], {});

  const [logit, id] = [part(0), part(1)];
  const rank = add("cast", [add("iota", [], { axis: candidate })], { dtype: "f32" });
  const largest = add("reduceMax", [logit], { axis });
  const scaled = add("mul", [add("sub", [logit, largest], {}), field("scale")], {});
  const isCounted = add("less", [rank, field("count")], {});
  // The likeliest one has weight 1, so a weight is its share of it.
  const weight = add("select", [isCounted, add("exp", [scaled], {}), zero], {});
  const select = (condition: NodeId, then: NodeId, otherwise: NodeId) =>
    add("select", [condition, then, otherwise], {});
  // Whoever comes before the threshold is reached is in the nucleus; the likeliest one always is.
  const threshold = add("mul", [sum(weight), field("nucleus")], {});
  const isBefore = add("less", [sumUpTo(weight, rank, "lessEqual"), threshold], {});
  const nucleus = select(add("less", [rank, one], {}), weight, select(isBefore, weight, zero));
  const kept = select(add("lessEqual", [field("least"), weight], {}), nucleus, zero);
  // The inverse of the cumulative distribution in the order of ids: the lowest id at which the sum passes the draw.
  const drawn = add("mul", [sum(kept), field("uniform")], {});
  const isPassed = add("less", [drawn, sumUpTo(kept, id, "less")], {});
  const none = builder.constant(2 ** 24);
  const lowest = least(select(add("less", [zero, kept], {}), select(isPassed, id, none), none));
  // The sums of two orders may differ in their last bit, so that none passes: then the likeliest one.
  const first = add("slice", [id], { axis, start: 0, size: 1 });
  const likeliest = add("mergeAxes", [first], { axes: [sequence, axis], into: sequence });
  return add("select", [add("less", [lowest, none], {}), lowest, likeliest], {});
}
