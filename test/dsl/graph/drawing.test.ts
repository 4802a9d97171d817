/** DOT and Mermaid: golden pictures, folding, and labels that cannot break out of their quotes. */
import { type Graph, GraphBuilder, graphToDot, graphToMermaid } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../../support/fast-check.ts";
import { layeredGraph } from "../../support/layered-graph.ts";
import { randomGraph } from "../../support/random-graph.ts";

const test = suite("drawing");

test("DOT: clusters by path, types on the arrows where asked", () => {
  assert.is(
    graphToDot(layeredGraph(1), { types: true }),
    `digraph "layered" {
  node [shape=box, fontname="sans-serif", fontsize=10];
  edge [fontname="sans-serif", fontsize=8];
  n0 [label="input x\\nf32[seq=seq<=8, hidden=4]", style=filled, fillcolor=gray95];
  out0 [label="y", shape=oval];
  out1 [label="middle", shape=oval];
  subgraph cluster_0 {
    label="layers.0";
    n5 [label="add\\nf32[seq=seq<=8, hidden=4]"];
    subgraph cluster_1 {
      label="norm";
      n1 [label="parameter layers.0.norm.weight\\nf32[hidden=4]", style=filled, fillcolor=gray95];
      n2 [label="rmsNorm\\nf32[seq=seq<=8, hidden=4]"];
    }
    subgraph cluster_2 {
      label="mlp";
      n3 [label="constant 0.5\\nf32[]", style=filled, fillcolor=gray95];
      n4 [label="mul\\nf32[seq=seq<=8, hidden=4]"];
    }
  }
  subgraph cluster_3 {
    label="head";
    n6 [label="tanh\\nf32[seq=seq<=8, hidden=4]"];
  }
  n0 -> n2 [label="f32[seq=seq<=8, hidden=4]"];
  n1 -> n2 [label="f32[hidden=4]"];
  n2 -> n4 [label="f32[seq=seq<=8, hidden=4]"];
  n3 -> n4 [label="f32[]"];
  n0 -> n5 [label="f32[seq=seq<=8, hidden=4]"];
  n4 -> n5 [label="f32[seq=seq<=8, hidden=4]"];
  n5 -> n6 [label="f32[seq=seq<=8, hidden=4]"];
  n6 -> out0 [label="f32[seq=seq<=8, hidden=4]"];
  n5 -> out1 [label="f32[seq=seq<=8, hidden=4]"];
}
`,
  );
});

test("Mermaid: folded layers are drawn once, with dashed arrows to the next turn", () => {
  assert.is(
    graphToMermaid(layeredGraph(3), { fold: true }),
    `flowchart TD
  n0[("input x<br/>f32#91;seq=seq#60;=8, hidden=4#93;")]
  out0(["y"])
  out1(["middle"])
  subgraph c0["layers"]
    subgraph c1["0.mlp"]
      n3[("constant 0.5<br/>f32#91;#93;")]
    end
    subgraph c2["#42; x3"]
      n5["add<br/>f32#91;seq=seq#60;=8, hidden=4#93;"]
      subgraph c3["norm"]
        n1[("parameter layers.0.norm.weight<br/>f32#91;hidden=4#93;")]
        n2["rmsNorm<br/>f32#91;seq=seq#60;=8, hidden=4#93;"]
      end
      subgraph c4["mlp"]
        n4["mul<br/>f32#91;seq=seq#60;=8, hidden=4#93;"]
      end
    end
  end
  subgraph c5["head"]
    n14["tanh<br/>f32#91;seq=seq#60;=8, hidden=4#93;"]
  end
  n0 --> n2
  n5 -.-> n2
  n1 --> n2
  n2 --> n4
  n3 --> n4
  n0 --> n5
  n5 -.-> n5
  n4 --> n5
  n14 --> out0
  n5 --> out1
`.replace("  n14 --> out0", "  n5 --> n14\n  n14 --> out0"),
  );
});

test("odd labels stay inside their quotes", () => {
  fc.assert(
    fc.property(randomGraph({ oddNames: true, maxInstructions: 5 }), fc.boolean(), (graph, fold) => {
      for (const line of graphToDot(graph, { fold, types: true }).split("\n")) {
        // Without its quoted parts, a line has nothing but words and DOT's own signs.
        assert.match(line.replace(/"(?:[^"\\]|\\.)*"/gu, "Q"), /^[\w\s=,;[\]{}>-]*$/);
      }
      for (const line of graphToMermaid(graph, { fold, types: true }).split("\n")) {
        assert.match(line.replace(/"(?:[^"#<>]|#\d+;|<br\/>)*"/gu, "Q"), /^[\w\s[\]()|.>-]*$/);
      }
    }),
  );
});

test("escapes what is known to break pictures", () => {
  const builder = new GraphBuilder();
  builder.origin = { path: 'a\\.b"<c>\n`end' };
  const node = builder.add("input", [], { name: 'x"]; evil[\\', dtype: "f32", axes: [] });
  const graph = builder.finish("<b>&", [{ name: "y", node }]);
  const dot = graphToDot(graph);
  assert.ok(dot.includes('digraph "<b>&" {'));
  assert.ok(dot.includes('label="a\\\\.b\\"<c>\\n`end";'));
  assert.ok(dot.includes('label="input x\\"]; evil[\\\\\\nf32[]"'));
  const mermaid = graphToMermaid(graph);
  assert.ok(mermaid.includes('"a#92;.b#34;#60;c#62;<br/>#96;end"'));
  assert.ok(mermaid.includes('"input x#34;#93;#59; evil#91;#92;<br/>f32#91;#93;"'));
});

test("a path of any depth is drawn", () => {
  const builder = new GraphBuilder();
  builder.origin = { path: "a.".repeat(50_000) };
  const node = builder.constant(1);
  const graph: Graph = builder.finish("deep", [{ name: "y", node }]);
  assert.ok(graphToDot(graph).length > 50_000 && graphToMermaid(graph).length > 50_000);
});

test.run();
