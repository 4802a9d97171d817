/** Names that would break out of a page or a diagram do not. */
import { compile, programToDot, programToMermaid } from "@weft/compiler";
import { orThrow } from "@weft/dsl";
import { escapeMarkup, jsonInMarkup, pageOf, viewOf } from "@weft/viewer";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../support/fast-check.ts";
import { hostileGraph, hostileNames } from "../support/hostile-graph.ts";

const test = suite("view: page");
const roofline = { bytesPerSecond: 1e11, operationsPerSecond: 1e13, source: "a test" };
const compiled = orThrow(
  compile([{ name: "main", graph: hostileGraph(), passes: [] }], { name: hostileNames.graph }),
);

test("JSON in a page is the same value, and holds nothing that ends a script", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = jsonInMarkup(value);
      assert.equal(JSON.parse(text), JSON.parse(JSON.stringify(value)));
      assert.not.match(text, /[<\u2028\u2029]/);
    }),
  );
  assert.is(jsonInMarkup("</script><!--"), '"\\u003c/script>\\u003c!--"');
});

test("markup in a name is text", () => {
  assert.is(escapeMarkup(`<a b="c">&'`), "&lt;a b=&quot;c&quot;&gt;&amp;&#39;");
});

test("a page is one file of two scripts that may load nothing", () => {
  const page = pageOf(viewOf(compiled, { target: "graph.ts", device: "cuda", roofline }));
  assert.is(page.match(/<script/g)!.length, 2);
  assert.is(page.match(/<\/script/g)!.length, 2);
  assert.not.match(page, /<img|<link|<iframe|\ssrc=["']/);
  assert.match(page, "default-src 'none'");
  assert.match(page, /<title>&lt;b&gt;&amp;\u2028name&lt;\/title&gt; - weft inspect<\/title>/);
  // What is bundled is licensed so, and says it.
  assert.match(page, "Permission is hereby granted");
});

test("diagrams of a plan keep names within their quotes", () => {
  const [program] = compiled.plan.programs;
  for (const line of programToDot(compiled.plan, program!).split("\n"))
    assert.match(line.replace(/"(?:[^"\\]|\\.)*"/gu, "Q"), /^[\w\s=,;[\]{}>-]*$/);
  for (const line of programToMermaid(compiled.plan, program!).split("\n"))
    assert.match(line.replace(/"(?:[^"#<>]|#\d+;|<br\/>)*"/gu, "Q"), /^[\w\s[\]()|.>-]*$/);
});

test.run();
