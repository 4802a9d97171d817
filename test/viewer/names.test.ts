/** Names of every kind in every form that a graph and its plan are written in: each form stays whole, and gives the name back. */
import {
  compile,
  emitCuda,
  printFused,
  printKernels,
  printMemory,
  printPlan,
  programToDot,
  programToMermaid,
} from "@weft/compiler";
import {
  axis,
  GraphBuilder,
  graphFromJson,
  graphToDot,
  graphToJson,
  graphToMermaid,
  graphToTypeScript,
  orThrow,
  parseGraph,
  printGraph,
} from "@weft/dsl";
import { pageOf, textOf, unpackRows, type View, viewOf } from "@weft/viewer";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { graphNamed, hostileTexts } from "../support/hostile-graph.ts";

const test = suite("names");
const roofline = { bytesPerSecond: 1e11, operationsPerSecond: 1e13, source: "a test" };
const made = hostileTexts.map((text) => {
  const graph = graphNamed(text);
  return { text, graph, compiled: orThrow(compile([{ name: "main", graph, passes: [] }], { name: text })) };
});

test("text, JSON and source give the same graph back", () => {
  for (const { graph } of made) {
    assert.equal(orThrow(parseGraph(printGraph(graph))), graph);
    assert.equal(orThrow(graphFromJson(graphToJson(graph))), graph);
    const body = graphToTypeScript(graph)
      .replace(/^import .*$/m, "")
      .replace(/^export default /m, "return ");
    assert.equal(new Function("axis", "GraphBuilder", body)(axis, GraphBuilder), graph);
  }
});

test("diagrams of graphs and of plans keep them within their quotes", () => {
  for (const { graph, compiled } of made) {
    const [program] = compiled.plan.programs;
    for (const dot of [graphToDot(graph, { types: true }), programToDot(compiled.plan, program!)])
      for (const line of dot.split("\n"))
        assert.match(line.replace(/"(?:[^"\\]|\\.)*"/gu, "Q"), /^[\w\s=,;[\]{}>-]*$/);
    for (const mermaid of [graphToMermaid(graph, { types: true }), programToMermaid(compiled.plan, program!)])
      for (const line of mermaid.split("\n"))
        assert.match(line.replace(/"(?:[^"#<>]|#\d+;|<br\/>)*"/gu, "Q"), /^[\w\s[\]()|.>-]*$/);
  }
});

test("texts for a terminal have as many lines as with a plain name, and nothing that moves a cursor", () => {
  const linesOf = (text: string) => {
    const { compiled } = made.find((one) => one.text === text) ?? plain;
    const texts = [
      printPlan(compiled.plan),
      printMemory(compiled.plan, compiled.programs),
      printFused(compiled.compiled[0]!.fused),
      printKernels(compiled.plan),
    ];
    for (const one of texts) assert.not.match(one, /[^\P{Cc}\n]|[\u2028\u2029\u202e\u2066]/u);
    return texts.map((one) => one.split("\n").length);
  };
  const graph = graphNamed("plain");
  const plain = { compiled: orThrow(compile([{ name: "main", graph, passes: [] }], { name: "plain" })) };
  for (const text of hostileTexts)
    assert.equal(linesOf(text), linesOf("plain"), JSON.stringify(text.slice(0, 40)));
});

test("CUDA text has them in comments, which they cannot leave", () => {
  const code = (source: string) => source.replace(/\/\/[^\n]*/g, "").replace(/\s+/g, " ");
  const sources = made.map(({ compiled }) =>
    emitCuda(compiled.plan)
      .modules.map(({ source }) => source)
      .join("\n"),
  );
  for (const source of sources) {
    assert.is(code(source), code(sources[0]!));
    // A backslash at the end would draw the next line into the comment.
    assert.not.match(source, /\\[ \t]*$/m);
  }
});

test("the page is markup of its own only, and its view holds the name", () => {
  for (const { text, compiled } of made) {
    const view = viewOf(compiled, { target: text, device: "cuda", roofline });
    const page = pageOf(view);
    assert.is(page.match(/<script/g)!.length, 2);
    assert.is(page.match(/<\/title>/g)!.length, 1);
    assert.not.match(page, /<img|<b>|<i>/);
    const json = /<script type="application\/json" id="view">(.*)<\/script>/.exec(page)![1]!;
    const read = JSON.parse(json) as View;
    assert.equal(read, JSON.parse(JSON.stringify(view)));
    assert.is(read.name, text);
    const paths = unpackRows(read.programs[0]!.stages[0]!.nodes!).map((row) =>
      textOf(read.texts, [row[1]!, row[6]!]),
    );
    assert.ok(paths.includes(text));
  }
});

test.run();
