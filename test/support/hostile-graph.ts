/** A graph whose names would break out of HTML, JSON in HTML, DOT or Mermaid wherever one of them is not escaped. */
import { axis, type Graph, GraphBuilder } from "@weft/dsl";

export const hostileNames = {
  path: 'a"<img src=x onerror=alert(1)>\n</script><script>alert(2)</script>.b',
  parameter: "w'\"]; evil[\\<!--",
  graph: "<b>&\u2028name</title>",
  output: "y\n-->|x|",
} as const;

/** Names of all kinds that a file may hold and a line, a tag, a quote or a terminal may stumble over. */
export const hostileTexts = [
  ...Object.values(hostileNames),
  "\u2028line\u2029paragraph",
  "\u202edesrever\u200f \u2066isolated\u2069",
  "\u001b[2Jcleared\u0007\u0000",
  "🧶👩‍👩‍👧 模型 größe",
  "back\\slash\\",
  // biome-ignore lint/suspicious/noTemplateCurlyInString: so that it is one where a template is written around it
  "`${process.exit(1)}`",
  "%s %0 $& $1 #34; &lt;",
  "*/ // # ; | { } [ ] ( )",
  "tab\t\r\r\n",
  "constructor",
  "__proto__",
  `very long ${"x".repeat(5000)}`,
] as const;

/** A text in every place where a graph takes one; axes have names of letters only. */
export function graphNamed(text: string): Graph {
  const builder = new GraphBuilder();
  const axes = [axis("seq", 4), axis("hidden", 8)];
  const x = builder.add("input", [], { name: `${text}in`, dtype: "f32", axes });
  builder.origin = { path: text, source: `${text}.ts:1:1` };
  const weight = builder.add("parameter", [], { name: text, dtype: "f32", axes: [axes[1]!] });
  const norm = builder.add("rmsNorm", [x, weight], { axis: "hidden", epsilon: 1e-6 });
  const own = builder.add("pointwise", [norm], {
    name: text,
    expression: { tag: "unary", function: "tanh", operand: { tag: "argument", index: 0 } },
  });
  return builder.finish(text, [{ name: text, node: own }]);
}

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
