/** Rows and texts of a view: what is stored once comes back as it was. */
import { packRows, type Row, TextTable, textOf, unpackRows } from "@weft/viewer";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../support/fast-check.ts";

const test = suite("view: format");

const row = fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 2, maxLength: 5 });
/** Turns of some rows, each number growing by its own amount, between rows of any kind. */
const rowsWithTurns = fc
  .tuple(fc.array(row), fc.array(row, { minLength: 1, maxLength: 6 }), fc.nat(9), fc.nat(3), fc.array(row))
  .map(([before, body, times, growth, after]): Row[] => [
    ...before,
    ...Array.from({ length: times }, (_, turn) =>
      body.map((one) => one.map((value, column) => (column < 2 ? value : value + turn * growth * column))),
    ).flat(),
    ...after,
  ]);

test("packed rows are the same rows", () => {
  fc.assert(
    fc.property(rowsWithTurns, fc.nat(2), (rows, fixed) => {
      assert.equal(unpackRows(JSON.parse(JSON.stringify(packRows(rows, fixed)))), rows);
    }),
  );
});

test("rows whose turns break off again and again are packed as fast as others", () => {
  // The last number breaks what 200 rows repeat, before a third turn of them is there.
  const rows = Array.from(
    { length: 60_000 },
    (_, at): Row => [at % 40, at % 100, at, at % 512 === 0 ? 1 : 0],
  );
  const before = process.cpuUsage();
  assert.equal(unpackRows(packRows(rows, 2)), rows);
  const { user, system } = process.cpuUsage(before);
  assert.ok(user + system < 4e6, `${(user + system) / 1e6} s of the processor`);
});

test("turns are stored once, with what each number grows by", () => {
  const layer = (number: number): Row[] => [
    [1, 7, number, 100 + 3 * number],
    [2, 7, number, 101 + 3 * number, 4],
    [1, 8, number, 102 + 3 * number],
  ];
  const rows: Row[] = [[0, 0], ...Array.from({ length: 36 }, (_, number) => layer(number)).flat(), [5, 5]];
  assert.equal(packRows(rows, 2), [
    [0, 0],
    {
      times: 36,
      rows: layer(0),
      growth: [
        [0, 0, 1, 3],
        [0, 0, 1, 3, 0],
        [0, 0, 1, 3],
      ],
    },
    [5, 5],
  ]);
});

test("a turn that differs in anything ends a repetition", () => {
  const rows: Row[] = [0, 1, 2, 3, 40, 5, 6, 7].map((value) => [1, value]);
  assert.equal(
    packRows(rows, 1).map((one) => ("times" in one ? one.times : 1)),
    [4, 1, 3],
  );
});

test("a text is the same text, with or without the number of a layer", () => {
  const table = new TextTable();
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: fc.constantFrom(..."0123456789.\"a$&'\u0001") }),
  );
  fc.assert(fc.property(text, (one) => assert.is(textOf(table.texts, table.add(one)), one)));
});

test("texts that differ by the number of a layer are one", () => {
  const table = new TextTable();
  const [a, b] = ["model.layers.3.mlp", "model.layers.35.mlp"].map((one) => table.add(one));
  assert.equal(
    [a, b],
    [
      [0, 3],
      [0, 35],
    ],
  );
  assert.equal(table.add("layers.007.x")[1], -1);
  assert.equal(table.add('{"name":"model.layers.12.w"}')[1], 12);
});

test.run();
