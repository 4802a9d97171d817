/** Every instruction of row programs against the reference, on every instruction set and several team sizes. */
import type { BinaryName, PlanDtype, UnaryName } from "@weft/compiler";
import { suite } from "uvu";
import { compare } from "./compare.ts";
import { access, affine, Body, loop, PlanBuilder, slot, times } from "./plan-builder.ts";

const test = suite("row instructions");

/** A plan of one rows kernel: input x [rows][columns], weights w [columns], output of any length. */
function rowsPlan(
  rows: number,
  columns: number,
  write: (body: Body, x: number, w: number) => number,
  length = columns,
): PlanBuilder {
  const builder = new PlanBuilder();
  const x = builder.buffer("x", "input", "f32", [rows, columns]);
  const w = builder.buffer("w", "weights", "f32", [columns]);
  const y = builder.buffer("y", "output", "f32", [rows, length]);
  const body = new Body();
  const result = write(body, body.load(access(0, [columns]), columns), body.load(access(1, [0]), columns));
  body.store(access(2, [length]), result, length);
  const kernel = builder.kernel({
    kind: "rows",
    name: "kernel",
    slots: [slot("x", "f32", "read"), slot("w", "f32", "read"), slot("y", "f32", "write")],
    program: body.program([loop("row", rows)], loop("column", columns)),
  });
  builder.program("main", [builder.step(kernel, x, w, y)]);
  return builder;
}

const run = (builder: PlanBuilder, tolerance?: number) =>
  compare({ plan: builder.plan, program: "main", symbols: {} }, { tolerance });

const unaryNames: UnaryName[] = [
  "neg",
  "abs",
  "exp",
  "log",
  "sqrt",
  "rsqrt",
  "reciprocal",
  "sin",
  "cos",
  "tanh",
  "sigmoid",
  "floor",
];
for (const name of unaryNames) {
  test(`unary ${name}`, async () => {
    await run(
      rowsPlan(5, 37, (body, x) => {
        const positive = ["log", "sqrt", "rsqrt", "reciprocal"].includes(name);
        const operand = positive
          ? body.binary("add", body.unary("abs", x), body.constant(0.25))
          : body.binary("mul", x, body.constant(3));
        return body.unary(name, operand);
      }),
    );
  });
}

const binaryNames: BinaryName[] = [
  "add",
  "sub",
  "mul",
  "div",
  "max",
  "min",
  "pow",
  "less",
  "lessEqual",
  "equal",
];
for (const name of binaryNames) {
  test(`binary ${name}: vectors, rows, scalars on either side`, async () => {
    await run(
      rowsPlan(6, 50, (body, x, w) => {
        const positive = (value: number) => body.binary("add", body.unary("abs", value), body.constant(0.5));
        const [a, b] = [positive(x), positive(w)];
        const both = body.binary(name, a, b);
        const sum = positive(body.reduce("max", x));
        const left = body.binary(name, sum, a);
        const right = body.binary(name, a, body.constant(1.25));
        const scalars = body.binary(name, sum, body.constant(0.75));
        return body.binary("add", body.binary("add", both, left), body.binary("add", right, scalars));
      }),
    );
  });
}

test("select with vectors and scalars", async () => {
  await run(
    rowsPlan(4, 33, (body, x, w) => {
      const mask = body.binary("less", x, w);
      const first = body.select(mask, x, w);
      const second = body.select(mask, body.constant(2), first);
      const third = body.select(body.binary("less", body.reduce("sum", x), body.constant(0)), second, first);
      return body.select(body.constant(1), third, x);
    }),
  );
});

for (const dtype of ["f32", "bf16", "f16", "i32"] as PlanDtype[]) {
  test(`round to ${dtype}`, async () => {
    await run(
      rowsPlan(3, 600, (body, x) => body.round(dtype, body.binary("mul", x, body.constant(7.3)))),
      0,
    );
    // Beyond the ranges of i32 and f16.
    await run(
      rowsPlan(3, 600, (body, x) => body.round(dtype, body.binary("mul", x, body.constant(3e9)))),
      0,
    );
  });
  test(`loads and stores of ${dtype}, contiguous, strided and broadcast`, async () => {
    const [rows, columns] = [5, 24];
    const builder = new PlanBuilder();
    const source = builder.buffer("tokens", "input", dtype === "i32" ? "i32" : "f32", [rows, columns]);
    const middle = builder.buffer("middle", "activations", dtype, [columns, rows]);
    const out = builder.buffer("out", "output", "f32", [rows, columns]);
    const first = new Body();
    // Transposed on the way in, transposed back on the way out.
    first.store(access(1, [1], rows), first.load(access(0, [columns]), columns), columns);
    const second = new Body();
    const row = second.load(access(0, [1], rows), columns);
    const single = second.load(access(0, [1], 0, 2 * rows), columns);
    second.store(access(1, [columns]), second.binary("add", row, single), columns);
    const inputType = dtype === "i32" ? "i32" : "f32";
    const kernels = [
      builder.kernel({
        kind: "rows",
        name: "scatter",
        slots: [slot("in", inputType, "read"), slot("out", dtype, "write")],
        program: first.program([loop("row", rows)], loop("column", columns)),
      }),
      builder.kernel({
        kind: "rows",
        name: "collect",
        slots: [slot("in", dtype, "read"), slot("out", "f32", "write")],
        program: second.program([loop("row", rows)], loop("column", columns)),
      }),
    ];
    builder.program("main", [
      builder.step(kernels[0]!, source, middle),
      builder.step(kernels[1]!, middle, out),
    ]);
    await run(builder, 0);
  });
}

test("reductions, slices and concatenations: rope as a row program", async () => {
  const size = 32;
  await run(
    rowsPlan(9, size, (body, x, w) => {
      const normed = body.binary("mul", body.rmsNorm(x, size), w);
      const [a, b] = [body.slice(normed, 0, size / 2), body.slice(normed, size / 2, size / 2)];
      const rate = body.unary("exp", body.binary("mul", body.index(-1, size / 2), body.constant(-0.3)));
      const angle = body.binary("mul", body.index(0, 1, 3), rate);
      const [cos, sin] = [body.unary("cos", angle), body.unary("sin", angle)];
      const left = body.binary("sub", body.binary("mul", a, cos), body.binary("mul", b, sin));
      const right = body.binary("add", body.binary("mul", b, cos), body.binary("mul", a, sin));
      return body.concat(left, right);
    }),
  );
});

test("slices of scalars, one-column slices, scalars in a concatenation", async () => {
  await run(
    rowsPlan(
      7,
      20,
      (body, x, w) => {
        const first = body.slice(x, 3, 1);
        const sum = body.reduce("sum", body.binary("mul", x, w));
        const again = body.slice(sum, 0, 1);
        return body.concat(body.binary("mul", first, again), body.slice(x, 5, 4), sum);
      },
      6,
    ),
  );
});

test("random rounding: short rows together, long ones in pieces, places by any strides", async () => {
  const shapes: readonly [number, number, number, number][] = [
    [40, 9, 9, 1],
    [3, 5000, 5000, 1],
    [7, 33, 64, 1],
    [11, 6, 1, 11],
  ];
  for (const [rows, columns, stride, rowStride] of shapes) {
    const round = (body: Body, x: number) => {
      const words = [0xffffff, 12345, 77].map((word) => body.constant(word)) as [number, number, number];
      return body.stochasticRound(x, words, [stride], rowStride);
    };
    await run(rowsPlan(rows, columns, round), 0);
    // One value for each row, under a key of its own.
    const scalar = (body: Body, x: number) => {
      const key = body.index(0, 1, 9);
      return body.stochasticRound(body.slice(x, 0, 1), [key, key, key], [1], 0);
    };
    await run(rowsPlan(rows, columns, scalar, 1), 0);
  }
});

test("softmax over long rows", async () => {
  await run(
    rowsPlan(3, 5000, (body, x) => {
      const shifted = body.unary("exp", body.binary("sub", x, body.reduce("max", x)));
      return body.binary("div", shifted, body.reduce("sum", shifted));
    }),
  );
});

test("special constants", async () => {
  await run(
    rowsPlan(2, 19, (body, x) => {
      const low = body.binary("max", x, body.special("-inf"));
      const high = body.binary("min", low, body.special("inf"));
      return body.select(body.binary("equal", body.special("nan"), x), body.constant(5), high);
    }),
    0,
  );
});

test("long chunkable rows, scalars stored beside them", async () => {
  const [rows, columns] = [2, 40_000];
  const builder = new PlanBuilder();
  const x = builder.buffer("x", "input", "f32", [rows, columns]);
  const y = builder.buffer("y", "output", "f32", [rows, columns]);
  const z = builder.buffer("z", "output", "f32", [rows]);
  const body = new Body();
  const value = body.load(access(0, [columns]), columns);
  const place = body.binary("mul", body.index(-1, columns), body.constant(0.001));
  body.store(access(1, [columns]), body.binary("add", value, place), columns);
  body.store(access(2, [1], 0), body.index(0, 1, 5), 1);
  const kernel = builder.kernel({
    kind: "rows",
    name: "long",
    slots: [slot("x", "f32", "read"), slot("y", "f32", "write"), slot("z", "f32", "write")],
    program: body.program([loop("row", rows)], loop("column", columns)),
  });
  builder.program("main", [builder.step(kernel, x, y, z)]);
  await run(builder, 1e-6);
});

test("gather with offsets and symbols; a scalar repeated by a store", async () => {
  const builder = new PlanBuilder();
  const seq = builder.symbol("seq", 12);
  const tokens = builder.buffer("tokens", "input", "i32", [12]);
  const table = builder.buffer("table", "weights", "bf16", [7, 40]);
  const y = builder.buffer("y", "output", "f32", [12, 40]);
  const z = builder.buffer("z", "output", "f32", [12, 40]);
  const body = new Body();
  const token = body.load(access(0, [1], 0), 1);
  body.store(access(2, [40]), body.gather(access(1, [0]), token, 40, 7, 40), 40);
  body.store(access(3, [40]), token, 40);
  const kernel = builder.kernel({
    kind: "rows",
    name: "embed",
    slots: [
      slot("tokens", "i32", "read"),
      slot("table", "bf16", "read"),
      slot("y", "f32", "write"),
      slot("z", "f32", "write"),
    ],
    program: body.program([loop("seq", times(seq))], loop("hidden", 40)),
  });
  builder.program("main", [builder.step(kernel, tokens, table, y, z)], {
    tokens: [times(seq)],
    y: [times(seq), affine(40)],
    z: [times(seq), affine(40)],
  });
  for (const length of [0, 1, 5, 12])
    await compare({ plan: builder.plan, program: "main", symbols: { seq: length } }, { tolerance: 0 });
});

test("in place: what a step reads and writes in one buffer", async () => {
  const [rows, columns] = [4, 64];
  const builder = new PlanBuilder();
  const x = builder.buffer("x", "input", "f32", [rows, columns]);
  const y = builder.buffer("y", "output", "f32", [rows, columns]);
  const copy = new Body();
  copy.store(access(1, [columns]), copy.load(access(0, [columns]), columns), columns);
  const update = new Body();
  const old = update.load(access(0, [columns]), columns);
  update.store(access(0, [columns]), update.binary("add", old, update.constant(1)), columns);
  // Still the old values: a register does not change when its buffer does.
  const normed = update.rmsNorm(old, columns);
  update.store(access(0, [columns]), update.binary("mul", normed, old), columns);
  const row = [loop("row", rows)];
  const kernels = [
    builder.kernel({
      kind: "rows",
      name: "copy",
      slots: [slot("x", "f32", "read"), slot("y", "f32", "write")],
      program: copy.program(row, loop("column", columns)),
    }),
    builder.kernel({
      kind: "rows",
      name: "update",
      slots: [slot("y", "f32", "update")],
      program: update.program(row, loop("column", columns)),
    }),
  ];
  builder.program("main", [builder.step(kernels[0]!, x, y), builder.step(kernels[1]!, y)]);
  await run(builder);
});

test("registers that change with some loops only", async () => {
  const [a, b, c, columns] = [3, 2, 4, 10];
  const builder = new PlanBuilder();
  const x = builder.buffer("x", "input", "f32", [a, b, c, columns]);
  const w = builder.buffer("w", "weights", "bf16", [b, columns]);
  const v = builder.buffer("v", "weights", "f16", [a, columns]);
  const y = builder.buffer("y", "output", "f32", [a, b, c, columns]);
  const strides = [b * c * columns, c * columns, columns];
  const body = new Body();
  const value = body.load(access(0, strides), columns);
  const middle = body.unary("exp", body.load(access(1, [0, columns, 0]), columns));
  const outer = body.unary("tanh", body.load(access(2, [columns, 0, 0]), columns));
  const mixed = body.binary("mul", middle, outer);
  const last = body.binary("add", body.index(2), body.binary("mul", body.index(0), body.constant(10)));
  body.store(access(3, strides), body.binary("add", body.binary("mul", value, mixed), last), columns);
  const kernel = builder.kernel({
    kind: "rows",
    name: "nest",
    slots: [
      slot("x", "f32", "read"),
      slot("w", "bf16", "read"),
      slot("v", "f16", "read"),
      slot("y", "f32", "write"),
    ],
    program: body.program([loop("a", a), loop("b", b), loop("c", c)], loop("column", columns)),
  });
  builder.program("main", [builder.step(kernel, x, w, v, y)]);
  await run(builder);
});

test.run();
