/** A small model of equal layers, for tests of folding. */
import { axis, type Graph, GraphBuilder } from "@weft/dsl";

/** Residual layers of a norm and a scaling whose constant they share; outputs y and, with enough layers, middle. */
export function layeredGraph(count: number): Graph {
  const builder = new GraphBuilder();
  const hidden = axis("hidden", 4);
  const seq = axis("seq", { symbol: "seq", max: 8 });
  let stream = builder.add("input", [], { name: "x", dtype: "f32", axes: [seq, hidden] });
  const after: number[] = [];
  for (let layer = 0; layer < count; layer++) {
    const path = `layers.${layer}`;
    builder.origin = { path: `${path}.norm` };
    const weight = builder.add("parameter", [], {
      name: `${path}.norm.weight`,
      dtype: "f32",
      axes: [hidden],
    });
    const norm = builder.add("rmsNorm", [stream, weight], { axis: "hidden", epsilon: 1e-6 });
    builder.origin = { path: `${path}.mlp` };
    const scaled = builder.add("mul", [norm, builder.constant(0.5)], {});
    builder.origin = { path };
    stream = builder.add("add", [stream, scaled], {});
    after.push(stream);
  }
  builder.origin = { path: "head" };
  const y = builder.add("tanh", [stream], {});
  const middle = after[Math.floor((count - 1) / 2)]!;
  return builder.finish("layered", [
    { name: "y", node: y },
    { name: "middle", node: middle },
  ]);
}
