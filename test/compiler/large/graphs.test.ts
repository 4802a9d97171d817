/**
 * Graphs of a hundred thousand nodes: nothing recurses along them, gives all of them to one call, or compares each with
 * each. The time that is allowed is many times what a slow machine takes, and a small part of what a square would.
 */
import { type Compiled, compile, printFused, printMemory, printPlan, programToDot } from "@weft/compiler";
import {
  type Graph,
  graphFromJson,
  graphToDot,
  graphToJson,
  graphToMermaid,
  graphToTypeScript,
  orThrow,
  parseGraph,
  printGraph,
} from "@weft/dsl";
import { pageOf, viewOf } from "@weft/viewer";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { chainGraph, fanGraph, treeGraph } from "../../support/large-graphs.ts";

const test = suite("large graphs");
const roofline = { bytesPerSecond: 1e11, operationsPerSecond: 1e13, source: "a test" };
const allowed = 120_000;

function timed<A>(what: string, action: () => A): A {
  const started = performance.now();
  const result = action();
  const milliseconds = performance.now() - started;
  assert.ok(milliseconds < allowed, `${what}: ${(milliseconds / 1000).toFixed(1)} s`);
  return result;
}

const compiled = (graph: Graph): Compiled =>
  timed("compile", () => orThrow(compile([{ name: "main", graph, passes: [] }], { name: graph.name })));

/** Everything that a command shows of it. */
function shown(graph: Graph, made: Compiled): void {
  for (const [what, write] of [
    ["graph", () => printGraph(graph, { fold: true })],
    ["dot", () => graphToDot(graph)],
    ["mermaid", () => graphToMermaid(graph)],
    ["typescript", () => graphToTypeScript(graph)],
    ["fused", () => printFused(made.compiled[0]!.fused)],
    ["plan", () => printPlan(made.plan)],
    ["memory", () => printMemory(made.plan, made.programs)],
    ["steps", () => programToDot(made.plan, made.plan.programs[0]!)],
  ] as const)
    assert.ok(timed(what, write).length > 0, what);
  const page = timed("page", () => pageOf(viewOf(made, { target: "graph", device: "cpu", roofline })));
  assert.ok(page.length > 1000);
}

test("a chain of 100,000 operations", () => {
  const graph = chainGraph(100_000);
  const made = compiled(graph);
  shown(graph, made);
  assert.is(timed("text", () => orThrow(parseGraph(printGraph(graph)))).nodes.length, graph.nodes.length);
  assert.is(timed("json", () => orThrow(graphFromJson(graphToJson(graph)))).nodes.length, graph.nodes.length);
});

test("a tree of 100,000 operations of which no two are equal", () => {
  const graph = treeGraph(25_000);
  assert.ok(graph.nodes.length > 99_000);
  shown(graph, compiled(graph));
});

test("a value that 20,000 outputs are made of", () => {
  const graph = fanGraph(20_000);
  shown(graph, compiled(graph));
});

test("no kernel is longer than compilers like, or binds more buffers than runtimes do", () => {
  const sizes = (graph: Graph) => {
    const { compiled: programs, plan } = compiled(graph);
    const nodes = programs[0]!.fused.groups.map((group) => (group.kind === "rows" ? group.nodes.size : 0));
    return {
      kernels: plan.programs[0]!.steps.length,
      nodes: Math.max(...nodes),
      buffers: Math.max(...plan.kernels.map(({ slots }) => slots.length)),
    };
  };
  assert.equal(sizes(chainGraph(2000)), { kernels: 4, nodes: 512, buffers: 2 });
  const fan = sizes(fanGraph(500));
  assert.ok(fan.buffers <= 48 && fan.kernels < 20, JSON.stringify(fan));
});

test.run();
