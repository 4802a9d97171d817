/**
 * lora: low-rank adaptation (Hu et al. 2021). Each linear that is a target becomes
 * `x W^T + b + (alpha / rank) (x A^T) B^T`, with A [rank, in] and B [out, rank] as new parameters.
 *
 * - It runs on the graph of any program before every other pass: `grad` is then asked for the adapters alone, and the
 *   weights stay as a checkpoint has them. A graph for generation reads the same adapters.
 * - The small products are linears like any other. `x A^T` joins the products of the same input; the second one's
 *   kernel adds the base's result and goes on with what follows.
 * - There is no dropout.
 */
import type { GraphNode, NodeId } from "@weft/dsl";
import type { Pass } from "../pass.ts";
import { attributesOf, copyNode, liveNodes, rewriteGraph } from "../rewrite.ts";
import { adaptersOf, type LinearSite, type LoraOptions, rankAxis } from "./targets.ts";

/**
 * @throws WeftError when the run finds a rank or an alpha of nonsense, a rank beyond a weight, a target that matches
 * no linear, or one whose weight is shared.
 */
export function lora(options: LoraOptions): Pass {
  const { rank, alpha } = options;
  return {
    name: "lora",
    summary: `adapters of rank ${rank}, scaled by ${alpha / rank}, beside the weights of linears`,
    run: (graph, log) => {
      const live = liveNodes(graph);
      const sites = new Map<string, LinearSite>();
      for (const node of graph.nodes) {
        const site = live[node.id] ? siteOf(node, graph.nodes) : undefined;
        if (site !== undefined) sites.set(site.path, site);
      }
      const adapters = new Map(adaptersOf([...sites.values()], options).map((one) => [one.path, one]));
      return rewriteGraph(graph, (builder, node, inputs) => {
        const site = siteOf(node, graph.nodes);
        const adapter = site && adapters.get(site.path);
        if (site === undefined || adapter === undefined) return undefined;
        log.fired("adapter", site.path);
        const { origin } = builder;
        const product = (
          x: NodeId,
          { name, axes }: typeof adapter.a,
          from: readonly string[],
          to: readonly string[],
        ) => {
          builder.origin = { ...origin, path: name.slice(0, -".weight".length) };
          const weight = builder.add("parameter", [], { name, dtype: "f32", axes });
          return builder.add("linear", [x, weight], { from, to });
        };
        const base = copyNode(builder, node, inputs);
        const down = product(inputs[0]!, adapter.a, site.from, [rankAxis]);
        // Scaled where it is small: the gradient of the result then serves base and B as it is.
        const scaled = builder.add("mul", [down, builder.constant(alpha / rank)], {});
        const up = product(scaled, adapter.b, [rankAxis], site.to);
        builder.origin = origin;
        return builder.add("add", [base, up], {});
      });
    },
  };
}

function siteOf(node: GraphNode, nodes: readonly GraphNode[]): LinearSite | undefined {
  if (node.op !== "linear") return undefined;
  const weight = nodes[node.inputs[1]!]!;
  if (weight.op !== "parameter") return undefined;
  const { from, to } = attributesOf(node, "linear");
  const { name } = attributesOf(weight, "parameter");
  return { path: node.origin.path, weight: name, axes: weight.type.axes, from, to };
}
