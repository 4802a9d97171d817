/** Graphs as TypeScript source: what the module builds is the graph that was printed, and equal layers stand once. */
import { axis, type Graph, GraphBuilder, graphToTypeScript, verifyGraph } from "@weft/dsl";
import { isRight } from "fp-ts/lib/Either.js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../../support/fast-check.ts";
import { layeredGraph } from "../../support/layered-graph.ts";
import { randomGraph } from "../../support/random-graph.ts";

const test = suite("graph as source");

/** Runs a printed module: it is plain JavaScript but for its import and export. */
function built(source: string): Graph {
  const body = source.replace(/^import .*$/m, "").replace(/^export default /m, "return ");
  assert.match(source, /^import \{ (axis, )?GraphBuilder \} from "@weft\/dsl";$/m);
  return new Function("axis", "GraphBuilder", body)(axis, GraphBuilder);
}

test("reads like a program, with equal layers as a loop", () => {
  const { outputs, ...graph } = layeredGraph(5);
  const source = graphToTypeScript({ ...graph, outputs: outputs.slice(0, 1) });
  // The first layer holds the constant that all share, so the loop begins with the second one.
  const loop = source.slice(
    source.indexOf("// layers.*"),
    source.indexOf('builder.origin = { path: "head" }'),
  );
  assert.is(
    loop,
    `// layers.*: 4 equal turns
let stream = add0;
for (let layer = 1; layer < 5; layer++) {
  builder.origin = { path: \`layers.\${layer}.norm\` };
  const normWeight = builder.add("parameter", [], { name: \`layers.\${layer}.norm.weight\`, dtype: "f32", axes: [hidden] });
  const norm = builder.add("rmsNorm", [stream, normWeight], { axis: "hidden", epsilon: 0.000001 });

  builder.origin = { path: \`layers.\${layer}.mlp\` };
  const mlp = builder.add("mul", [norm, mlp0], {});

  builder.origin = { path: \`layers.\${layer}\` };
  const add = builder.add("add", [stream, mlp], {});
  stream = add;
}

`,
  );
});

test("builds an equal graph, nodes that stand twice and names of every kind included", () => {
  fc.assert(
    fc.property(randomGraph({ oddNames: true }), (graph) => {
      assert.equal(built(graphToTypeScript(graph)), graph);
    }),
    { numRuns: 100 },
  );
});

test("layers of every count, wherever they are read from and whatever is odd about one, build an equal graph", () => {
  const choice = fc.nat({ max: 99 });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 7 }),
      fc.array(choice, { minLength: 1, maxLength: 3 }),
      choice,
      (count, read, odd) => {
        const { nodes, ...graph } = layeredGraph(count);
        const strange = nodes.map((node) =>
          node.id === odd ? { ...node, origin: { ...node.origin, path: 'layers.*."\n</script>`$' } } : node,
        );
        const outputs = read.map((one, index) => ({ name: `y${index}`, node: one % nodes.length }));
        const changed = { ...graph, nodes: strange, outputs };
        assert.equal(built(graphToTypeScript(changed)), changed);
      },
    ),
  );
});

test("numbers and words that JavaScript reads otherwise survive", () => {
  const builder = new GraphBuilder();
  const x = builder.add("input", [], { name: "class", dtype: "f32", axes: [] });
  const values = [1e-7, -0, 0, 1e21, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN];
  const nodes = values.map((value) => builder.add("mul", [x, builder.constant(value)], {}));
  const graph = builder.finish(
    "__proto__",
    nodes.map((node) => ({ name: `\u2028\`\ud800${node}`, node })),
  );
  const again = built(graphToTypeScript(graph));
  assert.equal(again, graph);
  const constants = again.nodes.filter((node) => node.op === "constant").map((node) => node.attributes.value);
  assert.ok(Object.is(constants[1], -0) && Object.is(constants[2], 0));
  assert.ok(isRight(verifyGraph(again)));
});

test.run();
