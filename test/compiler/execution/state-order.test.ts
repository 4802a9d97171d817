/** Reads and writes of one state keep the order of the node list, whichever way a value is reached. */
import { compile, interpret } from "@weft/compiler";
import { axis, GraphBuilder, type NodeId, orThrow } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type DeviceHere, devicesHere, openDevice } from "../../support/models.ts";

const test = suite("state order");
const h = axis("h", 4);

/** What a state held, seen by `see`, is added to something that comes behind the write in the node list. */
async function check(
  see: (builder: GraphBuilder, read: NodeId) => NodeId,
  { on, fusion }: { on: DeviceHere; fusion: boolean },
): Promise<void> {
  const builder = new GraphBuilder();
  builder.declareState({ name: "s", type: { dtype: "f32", axes: [h] } });
  const one = builder.add("input", [], { name: "one", dtype: "f32", axes: [h] });
  const read = builder.add("stateRead", [], { state: "s", dtype: "f32", axes: [h] });
  const seen = see(builder, read);
  const written = builder.add("stateWrite", [one], { state: "s" });
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes: builder.type(seen).axes });
  const sum = builder.add("add", [seen, builder.add("exp", [x], {})], {});
  const graph = builder.finish("order", [
    { name: "seen", node: seen },
    { name: "sum", node: sum },
    { name: "written", node: written },
  ]);
  const axes = (node: NodeId) =>
    graph.nodes[node]!.type.axes.map(({ name, size }) => ({ name, size: size as number }));
  const count = axes(x)[0]!.size;
  const expected = interpret(graph, {
    inputs: {
      one: { dtype: "f32", axes: axes(one), data: new Float64Array(4).fill(1) },
      x: { dtype: "f32", axes: axes(x), data: new Float64Array(count) },
    },
  });
  const { plan } = orThrow(compile([{ name: "main", graph, passes: [] }], { name: "order", fusion }));
  using device = await openDevice(on);
  using executable = await device.load(plan, {});
  const inputs = { one: new Float32Array(4).fill(1), x: new Float32Array(count) };
  const { outputs } = await executable.run("main", { symbols: {}, inputs });
  for (const { name } of graph.outputs)
    assert.equal([...outputs[name]!], [...expected.get(name)!.data], name);
}

const ways = (await devicesHere()).flatMap((on) => [true, false].map((fusion) => ({ on, fusion })));
for (const way of ways) {
  const how = `${way.fusion ? "fused" : "op by op"}, on ${way.on}`;
  test(`a state is read before it is written, ${how}`, () => check((_, read) => read, way));
  test(`also through a view, ${how}`, () =>
    check((builder, read) => builder.add("rename", [read], { from: "h", to: "g" }), way));
  test(`also through a cut, ${how}`, () =>
    check((builder, read) => builder.add("slice", [read], { axis: "h", start: 1, size: 2 }), way));
}

test.run();
