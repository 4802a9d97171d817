/**
 * scalesBehind: the scale of a tensor in blocks goes behind the products of the way back.
 *
 * The gradient of `linear(x, Q) * s` multiplies the cotangent by s before both products. Behind them it costs nothing: what
 * goes to x is scaled where it is read, and in what goes to the weight s meets the 1 / s of its blocks and both vanish.
 * So the cotangent is stored once, and the weight's gradient is the product itself. Goes behind `grad`.
 */
import type { GraphBuilder, NodeId, OpName } from "@weft/dsl";
import type { Pass } from "../pass.ts";
import { attributesOf, copyNode, rewriteGraph } from "../rewrite.ts";
import { encodeScaleName, tensorScaleName } from "./names.ts";

const views: ReadonlySet<OpName> = new Set(["splitAxis", "mergeAxes", "rename"]);

export function scalesBehind(weights: readonly string[]): Pass {
  const scales = new Map(weights.map((name) => [tensorScaleName(name), name]));
  const inverses = new Map(weights.map((name) => [encodeScaleName(name), name]));
  return {
    name: "scalesBehind",
    summary: "tensors' scales stand behind the products of the way back",
    run: (graph, log) => {
      /** `value * s` by its parts. */
      const scaled = (builder: GraphBuilder, id: NodeId) => {
        const node = builder.node(id);
        if (node.op !== "mul") return undefined;
        const [value, scale] = node.inputs as readonly [NodeId, NodeId];
        const weight = scales.get(parameterOf(builder, scale) ?? "");
        return weight === undefined ? undefined : { value, scale, weight };
      };
      return rewriteGraph(graph, (builder, node, inputs) => {
        if (node.op === "mul") {
          const weight = inverses.get(parameterOf(builder, inputs[1]!) ?? "");
          const part = weight === undefined ? undefined : scaled(builder, inputs[0]!);
          return part?.weight === weight ? part?.value : undefined;
        }
        if (node.op !== "dot" && !views.has(node.op)) return undefined;
        const at = inputs.findIndex((input) => scaled(builder, input) !== undefined);
        if (at < 0) return undefined;
        const { value, scale, weight } = scaled(builder, inputs[at]!)!;
        if (node.op === "dot") log.fired("scale behind a product", weight);
        const rest = copyNode(builder, node, inputs.with(at, value));
        return builder.add("mul", [rest, scale], {});
      });
    },
  };
}

function parameterOf(builder: GraphBuilder, id: NodeId): string | undefined {
  const node = builder.node(id);
  return node.op === "parameter" ? attributesOf(node, "parameter").name : undefined;
}
