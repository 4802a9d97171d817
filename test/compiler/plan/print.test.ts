/** Plans as text: figures with their units, and no symbols where there are none. */
import { compile, formatCount, printPlan } from "@weft/compiler";
import { type Axis, GraphBuilder, orThrow } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("print plans");

test("counts: exact below 10000, then with a prefix; the unit belongs to it", () => {
  assert.is(formatCount(408), "408");
  assert.is(formatCount(408, "flop"), "408 flop");
  assert.is(formatCount(9999, "flop"), "9999 flop");
  assert.is(formatCount(15000), "15.00 k");
  assert.is(formatCount(15000, "flop"), "15.00 kflop");
  assert.is(formatCount(2.5e9, "flop"), "2.50 Gflop");
});

/** x + x over some axes. */
function planOf(axes: readonly Axis[]) {
  const builder = new GraphBuilder();
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes });
  const y = builder.add("add", [x, x], {});
  const graph = builder.finish("twice", [{ name: "y", node: y }]);
  return orThrow(compile([{ name: "main", graph, passes: [] }], { name: "twice" })).plan;
}

test("a program with symbols says at which values its cost is; one without says nothing of it", () => {
  const program = (axes: readonly Axis[]) => /^program .*$/m.exec(printPlan(planOf(axes)))![0];
  const size = { name: "a", size: 8 };
  assert.match(
    program([{ name: "seq", size: { symbol: "seq", max: 4 } }, size]),
    /^program main: 1 steps; at seq=4: \d+ B read, \d+ B written, 32 flop$/,
  );
  assert.match(program([size]), /^program main: 1 steps; \d+ B read, \d+ B written, 8 flop$/);
});

test.run();
