// What a state held and what it holds now, both in one computation: the old value is used, or saved, before the write.

import { compile, interpret } from "@weft/compiler";
import { assertOutputsClose } from "@weft/compiler/testing";
import { axis, GraphBuilder, type NodeId, orThrow } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { devicesHere, openDevice } from "../../support/models.ts";
import { randomValues } from "../../support/random-values.ts";
import { runsOnDevice } from "../../support/run-plan.ts";

const test = suite("a state's old and new value");
const h = axis("h", 4);
const tolerance = { absolute: 1e-5, relative: 1e-5 };

/** A graph over the states s and t, both f32[h=4], and the input x of that type. */
class StateGraph {
  readonly builder = new GraphBuilder();
  readonly x: NodeId;

  constructor() {
    for (const name of ["s", "t"]) this.builder.declareState({ name, type: { dtype: "f32", axes: [h] } });
    this.x = this.builder.add("input", [], { name: "x", dtype: "f32", axes: [h] });
  }

  read(state: string): NodeId {
    return this.builder.add("stateRead", [], { state, dtype: "f32", axes: [h] });
  }

  write(state: string, value: NodeId): NodeId {
    return this.builder.add("stateWrite", [value], { state });
  }

  tanh(value: NodeId): NodeId {
    return this.builder.add("tanh", [value], {});
  }

  add(a: NodeId, b: NodeId): NodeId {
    return this.builder.add("add", [a, b], {});
  }
}

function finished(make: (graph: StateGraph) => readonly NodeId[]) {
  const graph = new StateGraph();
  const outputs = make(graph).map((node, index) => ({ name: `y${index}`, node }));
  return graph.builder.finish("states", outputs);
}

/** Each gives the outputs of a graph. */
const graphs: Readonly<Record<string, (graph: StateGraph) => readonly NodeId[]>> = {
  "the old value, then the new one, where a kernel would take both": (g) => {
    const old = g.read("s");
    const written = g.write("s", g.x);
    return [g.add(g.tanh(written), g.tanh(old))];
  },
  "one op of both": (g) => {
    const old = g.read("s");
    return [g.add(old, g.write("s", g.x))];
  },
  "one op of both, by way of views": (g) => {
    const old = g.builder.add("slice", [g.read("s")], { axis: "h", start: 1, size: 2 });
    const written = g.builder.add("slice", [g.write("s", g.x)], { axis: "h", start: 0, size: 2 });
    return [g.add(old, written)];
  },
  "what the first of two writes left, and the second": (g) => {
    const first = g.write("s", g.x);
    const second = g.write("s", g.tanh(first));
    return [g.add(first, second)];
  },
  "two states that wait for each other": (g) => {
    const [s, t] = [g.read("s"), g.read("t")];
    const [newS, newT] = [g.write("s", g.x), g.write("t", g.tanh(g.x))];
    return [g.add(s, newT), g.add(t, newS)];
  },
  "two states that change places": (g) => {
    const [s, t] = [g.read("s"), g.read("t")];
    return [g.write("s", g.add(t, g.x)), g.write("t", s)];
  },
  "an epilogue that adds what the state held": (g) => {
    const old = g.read("s");
    const weight = g.builder.add("parameter", [], {
      name: "w.weight",
      dtype: "f32",
      axes: [axis("o", 4), h],
    });
    const product = g.builder.add("linear", [g.write("s", g.x), weight], { from: ["h"], to: ["o"] });
    return [g.builder.add("add", [product, g.builder.add("rename", [old], { from: "h", to: "o" })], {})];
  },
};

const cases = (await devicesHere()).flatMap((device) =>
  Object.entries(graphs).flatMap(([name, make]) =>
    [true, false].map((fusion) => ({ device, name, make, fusion })),
  ),
);
for (const { device: on, name, make, fusion } of cases) {
  test(`${name}, ${fusion ? "fused" : "op by op"}, on ${on}`, async () => {
    using device = await openDevice(on);
    const graph = finished(make);
    const runs = [1, 2, 3].map((seed) => ({
      ...randomValues(graph, 1),
      inputs: randomValues(graph, seed).inputs,
    }));
    const state = new Map();
    const actual = await runsOnDevice(device, graph, runs, { fusion });
    runs.forEach((values, at) => {
      assertOutputsClose(actual[at]!, interpret(graph, { ...values, state }), tolerance);
    });
  });
}

test("an append of a state's own rows", async () => {
  const builder = new GraphBuilder();
  const row = axis("row", 64);
  builder.declareSymbol({ name: "past", max: 2 });
  builder.declareState({ name: "s", type: { dtype: "f32", axes: [row, h] } });
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes: [row, h] });
  builder.add("stateWrite", [x], { state: "s" });
  const read = builder.add("stateRead", [], { state: "s", dtype: "f32", axes: [row, h] });
  const rows = builder.add("slice", [read], { axis: "row", start: 0, size: 62 });
  const appended = builder.add("stateAppend", [builder.add("rename", [rows], { from: "row", to: "new" })], {
    state: "s",
    axis: "new",
    into: "row",
    past: "past",
    dtype: "f32",
    axes: [row, h],
  });
  const graph = builder.finish("own", [{ name: "y", node: appended }]);
  const values = { ...randomValues(graph, 1), symbols: new Map([["past", 1]]) };
  for (const on of await devicesHere()) {
    using device = await openDevice(on);
    for (const fusion of [true, false]) {
      const [actual] = await runsOnDevice(device, graph, [values], { fusion });
      assertOutputsClose(actual!, interpret(graph, values), tolerance);
    }
  }
});

test("fusion says why it keeps the old and the new value apart", () => {
  const graph = finished(graphs["the old value, then the new one, where a kernel would take both"]!);
  const { compiled, plan } = orThrow(compile([{ name: "main", graph, passes: [] }], { name: "states" }));
  const reasons = compiled[0]!.fused.refusals.map((one) => one.reason);
  assert.ok(
    reasons.includes("add: the kernel would need a state both before and after it is written"),
    reasons.join("\n"),
  );
  // The old value's function is stored; the state itself is not copied.
  assert.equal(
    plan.programs[0]!.steps.map((step) => plan.kernels[step.kernel]!.name),
    ["tanh", "write", "tanh_add"],
  );
});

test.run();
