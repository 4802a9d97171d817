/** Rules of simplify that spare what a gradient would otherwise store. */
import { runPasses, simplify } from "@weft/compiler";
import { type Axis, axis, GraphBuilder, type NodeId, orThrow, verifyGraph } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("simplify");

/** What simplify makes of the last node that `build` adds: the ops, in order. */
function simplified(build: (builder: GraphBuilder) => NodeId): readonly string[] {
  const builder = new GraphBuilder();
  const node = build(builder);
  const graph = builder.finish("small", [{ name: "y", node }]);
  return orThrow(runPasses(graph, [simplify()], verifyGraph)).graph.nodes.map((one) => one.op);
}

const [a, b] = [axis("a", 2), axis("b", 3)];
const given = (builder: GraphBuilder, name: string, axes: readonly Axis[] = [a, b]) =>
  builder.add("input", [], { name, dtype: "f32", axes });

test("a cotangent that is repeated for a pointwise op only is not stored", () => {
  const repeated = (builder: GraphBuilder) =>
    builder.add("broadcast", [given(builder, "row", [b])], { axes: [a, b] });
  assert.equal(
    simplified((builder) => builder.add("mul", [repeated(builder), given(builder, "x")], {})),
    ["input", "input", "mul"],
  );
  // On its own it decides the axes of the result, and stays.
  assert.equal(
    simplified((builder) => builder.add("exp", [repeated(builder)], {})),
    ["input", "broadcast", "exp"],
  );
});

test("a part of a join is taken before the join", () => {
  const join = (builder: GraphBuilder, start: number, size: number) => {
    const parts = [given(builder, "x"), given(builder, "y")];
    return builder.add("slice", [builder.add("concat", parts, { axis: "b" })], { axis: "b", start, size });
  };
  assert.equal(
    simplified((builder) => join(builder, 3, 3)),
    ["input"],
  );
  assert.equal(
    simplified((builder) => join(builder, 2, 3)),
    ["input", "input", "concat", "slice"],
  );
});

test("broadcasts of broadcasts are one, and one that changes nothing goes", () => {
  const twice = (builder: GraphBuilder, axes: readonly Axis[]) => {
    const turned = builder.add("broadcast", [given(builder, "x")], { axes: [b, a] });
    return builder.add("broadcast", [turned], { axes });
  };
  const c = axis("c", 4);
  assert.equal(
    simplified((builder) => twice(builder, [a, b, c])),
    ["input", "broadcast"],
  );
  assert.equal(
    simplified((builder) => twice(builder, [a, b])),
    ["input"],
  );
});

test.run();
