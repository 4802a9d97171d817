/** A graph whose names would break out of HTML, JSON in HTML, DOT or Mermaid wherever one of them is not escaped. */
import { axis, type Graph, GraphBuilder } from "@weft/dsl";

export const hostileNames = {
  path: 'a"<img src=x onerror=alert(1)>\n</script><script>alert(2)</script>.b',
  parameter: "w'\"]; evil[\\<!--",
  graph: "<b>&\u2028name</title>",
  output: "y\n-->|x|",
} as const;

export function hostileGraph(): Graph {
  const builder = new GraphBuilder();
  const axes = [axis("seq", 4), axis("hidden", 8)];
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes });
  builder.origin = { path: hostileNames.path };
  const weight = builder.add("parameter", [], {
    name: hostileNames.parameter,
    dtype: "f32",
    axes: [axes[1]!],
  });
  const norm = builder.add("rmsNorm", [x, weight], { axis: "hidden", epsilon: 1e-6 });
  return builder.finish(hostileNames.graph, [{ name: hostileNames.output, node: norm }]);
}
