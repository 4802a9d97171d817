/** Expectations about wires, graphs and tensors: what they accept, and what they say. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { axis, embedding, type Graph, GraphBuilder, linear, parallel, silu } from "@weft/dsl";
import {
  assertClose,
  assertGraph,
  assertOutputsClose,
  assertSnapshot,
  assertWires,
  placeOf,
  seededValues,
} from "@weft/dsl/testing";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { failureOf } from "../../support/failure-of.ts";
import { tensor } from "../../support/run-op.ts";
import { axes } from "../blocks/axes.ts";

const test = suite("testing kit: expectations");
const { hidden, heads, headDim, kvHeads, intermediate } = axes;
const folder = mkdtempSync(join(tmpdir(), "weft-kit-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const up = linear("up", hidden, intermediate);

test("wires with and without sizes, tuples and kinds", () => {
  assertWires(up, "[..., hidden] -> [..., intermediate]");
  assertWires(up, `[..., hidden=${hidden.size}] -> [..., intermediate]`);
  assertWires(silu, "[...] -> [...]");
  const pair = parallel(linear("q", hidden, [heads, headDim]), linear("k", hidden, [kvHeads, headDim]));
  assertWires(pair, "[..., hidden] -> ([..., heads, headDim], [..., kvHeads, headDim])");
  assertWires(embedding("embed", axis("vocab", 8), hidden), "int [...] -> [..., hidden]");
});

test("other wires are shown beside what was expected", () => {
  assert.is(
    failureOf(() => assertWires(up, "[..., hidden] -> [..., heads, headDim]")),
    "assertWires: the block does not take and give what is expected\n" +
      "  expected [..., hidden] -> [..., heads, headDim]\n" +
      "  actual   [..., hidden] -> [..., intermediate]",
  );
  assert.match(
    failureOf(() => assertWires(up, "[..., hidden=7] -> [..., intermediate]")),
    `actual   [..., hidden=${hidden.size}] -> [..., intermediate]`,
  );
  assert.match(
    failureOf(() => assertWires(up, "[..., hidden]")),
    'wires are written as "[..., hidden] -> [..., hidden]"; given "[..., hidden]"',
  );
});

/** y = op(x * w), with the nodes at paths of their own. */
function product(op: "tanh" | "exp", between: boolean): Graph {
  const builder = new GraphBuilder();
  const at = (path: string) => {
    builder.origin = { path, source: `here.ts:${between ? 7 : 8}:1` };
  };
  at("");
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes: [hidden] });
  at("block.weight");
  const w = builder.add("parameter", [], { name: "block.weight", dtype: "f32", axes: [hidden] });
  at("block.extra");
  const given = between ? builder.add("neg", [x], {}) : x;
  at("block.product");
  const scaled = builder.add("mul", [given, w], {});
  at("block.activation");
  const active = builder.add(op, [scaled], {});
  at("block.sum");
  const y = builder.add("add", [active, scaled], {});
  return builder.finish("product", [{ name: "y", node: y }]);
}

test("a graph against its snapshot: kept when asked, source lines left out", () => {
  const file = join(folder, "deep/product.graph");
  assert.match(
    failureOf(() => assertGraph(product("tanh", false), file)),
    /there is no snapshot at .*product\.graph yet; WEFT_UPDATE_GOLDEN=1 writes it anew$/,
  );
  assertGraph(product("tanh", false), file, { update: true });
  assertGraph(product("tanh", false), file);
  const text = readFileSync(file, "utf8");
  assert.not.match(text, "here.ts");
  assert.match(text, /mul\(%0, %1\): .*# block\.product\n/);
});

test("what differs is told node by node, under block paths, and not what only moved", () => {
  const file = join(folder, "difference.graph");
  assertGraph(product("tanh", false), file, { update: true });
  const type = `f32[hidden=${hidden.size}]`;
  const lines = (action: () => void) => failureOf(action).split("\n").slice(1);
  assert.equal(
    lines(() => assertGraph(product("exp", false), file)),
    [
      "  block.activation",
      `    - %3 = tanh(%2): ${type}  # block.activation`,
      `    + %3 = exp(%2): ${type}  # block.activation`,
    ],
  );
  // One node more: ids behind it shift, and only its reader reads something else.
  assert.equal(
    lines(() => assertGraph(product("tanh", true), file)),
    [
      "  block.extra",
      `    + %2 = neg(%0): ${type}  # block.extra`,
      "  block.product",
      `    - %2 = mul(%0, %1): ${type}  # block.product`,
      `    + %3 = mul(%2, %1): ${type}  # block.product`,
    ],
  );
});

test("a text that differs everywhere is cut short", () => {
  const file = join(folder, "long.txt");
  const text = (word: string) => Array.from({ length: 90 }, (_, at) => `${word} ${at}`).join("\n");
  assertSnapshot(text("line"), file, { update: true });
  assertSnapshot(text("line"), file);
  const said = failureOf(() => assertSnapshot(text("row"), file));
  assert.match(said, /\.\.\. and 140 more lines$/);
  assert.is(said.split("\n").length, 1 + 1 + 40 + 1);
});

test("tensors: the first element that differs, by its axes, and the worst one", () => {
  const values = tensor({ seq: 2, hidden: 3 });
  assert.is(placeOf(values, 5), "[seq=1, hidden=2]");
  assertClose(values, tensor({ seq: 2, hidden: 3 }, [0, 1, 2, 3, 4, 5 + 1e-10]));
  assert.is(
    failureOf(() =>
      assertClose(
        tensor({ seq: 2, hidden: 3 }, [0, 1.5, 2, 3, Number.NaN, 5]),
        values,
        { absolute: 0.1, relative: 0 },
        "y",
      ),
    ),
    "y[seq=0, hidden=1] is 1.5, expected 1 (5.00 times the tolerance); 2 of 6 elements differ, the worst: [seq=1, hidden=1] is NaN, expected 4 (Infinity times the tolerance)",
  );
  assert.is(
    failureOf(() => assertClose(tensor({ hidden: 3, seq: 2 }), values)),
    "value: axes [hidden=3, seq=2], expected [seq=2, hidden=3]",
  );
  assert.is(
    failureOf(() => assertOutputsClose(new Map([["z", values]]), new Map([["y", values]]))),
    "outputs z, expected y",
  );
});

test("values follow from seed and name, and integers are rows of what they index", () => {
  const builder = new GraphBuilder();
  const seq = axis("seq", { symbol: "seq", max: 40 });
  const tokens = builder.add("input", [], { name: "tokens", dtype: "i32", axes: [seq] });
  const table = builder.add("parameter", [], {
    name: "table",
    dtype: "f32",
    axes: [axis("rows", 3), hidden],
  });
  const y = builder.add("embedding", [tokens, table], { axis: "rows" });
  const graph = builder.finish("lookup", [{ name: "y", node: y }]);
  const { inputs, weights, symbols } = seededValues(graph, 5, { symbols: { seq: 40 } });
  assert.is(symbols.get("seq"), 40);
  assert.equal([...new Set(inputs.get("tokens")!.data)].sort(), [0, 1, 2]);
  const alone = new GraphBuilder();
  const same = alone.add("parameter", [], { name: "table", dtype: "f32", axes: [axis("rows", 3), hidden] });
  const other = alone.finish("alone", [{ name: "y", node: same }]);
  assert.equal(seededValues(other, 5).weights.get("table"), weights.get("table"));
  assert.not.equal(seededValues(other, 6).weights.get("table"), weights.get("table"));
});

test.run();
