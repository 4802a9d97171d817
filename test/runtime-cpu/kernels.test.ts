/** Matmul, attention and contract kernels against the reference, on every instruction set and several team sizes. */
import type { MatmulGroup, PlanDtype } from "@weft/compiler";
import { suite } from "uvu";
import { compare } from "./compare.ts";
import { access, affine, Body, loop, PlanBuilder, slot, times } from "./plan-builder.ts";
import { qkvPlan } from "./plans.ts";

const test = suite("kernels");
const most = 40;

interface Shape {
  readonly depth: number;
  /** Column loops, then the row. */
  readonly columns: readonly number[];
  readonly weights: number;
  readonly input: PlanDtype;
  readonly weight: PlanDtype;
  /** What the epilogue does with a row: `pointwise` may be cut anywhere, the others not. */
  readonly epilogue: "pointwise" | "norm" | "halves";
}

/** y = epilogue(norm(x) W^T) for up to `most` rows of symbol `seq`. */
function matmulPlan(shape: Shape): PlanBuilder {
  const { depth, columns } = shape;
  const total = columns.reduce((product, size) => product * size, 1);
  const row = columns.at(-1)!;
  const builder = new PlanBuilder(`matmul ${shape.epilogue} ${columns} ${shape.input} x ${shape.weight}`);
  const seq = builder.symbol("seq", most);
  const x = builder.buffer("x", "input", "f32", [most, depth]);
  const norm = builder.buffer("norm", "weights", "f32", [depth]);
  const weights = Array.from({ length: shape.weights }, (_, i) =>
    builder.buffer(`w${i}`, "weights", shape.weight, [total, depth]),
  );
  const y = builder.buffer("y", "output", "f32", [most, total]);
  const rows = [loop("seq", times(seq))];
  const prologue = new Body();
  prologue.binary(
    "mul",
    prologue.rmsNorm(prologue.load(access(0, [depth]), depth), depth),
    prologue.load(access(1, [0]), depth),
  );
  const epilogue = new Body();
  const strides = columns.slice(0, -1).map((_, i) => columns.slice(i + 1).reduce((a, b) => a * b, 1));
  let value = epilogue.accumulator(0, row);
  for (let i = 1; i < shape.weights; i++)
    value = epilogue.binary("mul", epilogue.unary("sigmoid", value), epilogue.accumulator(i, row));
  if (shape.epilogue === "norm") value = epilogue.rmsNorm(value, row);
  if (shape.epilogue === "halves")
    value = epilogue.concat(epilogue.slice(value, row / 2, row / 2), epilogue.slice(value, 0, row / 2));
  epilogue.store(access(2 + shape.weights, [total, ...strides]), value, row);
  const group: MatmulGroup = {
    weights: weights.map((_, i) => 2 + i),
    columns: total,
    epilogue: epilogue.program(
      [...rows, ...columns.slice(0, -1).map((size, i) => loop(`c${i}`, size))],
      loop("column", row),
    ),
  };
  const kernel = builder.kernel({
    kind: "matmul",
    name: "matmul",
    slots: [
      slot("x", "f32", "read"),
      slot("norm", "f32", "read"),
      ...weights.map((_, i) => slot(`w${i}`, shape.weight, "read")),
      slot("y", "f32", "write"),
    ],
    rows,
    contracted: depth,
    inputDtype: shape.input,
    orderedSums: false,
    prologue: prologue.program(rows, loop("depth", depth)),
    groups: [group],
  });
  builder.program("main", [builder.step(kernel, x, norm, ...weights, y)], {
    x: [times(seq), affine(depth)],
    y: [times(seq), affine(total)],
  });
  return builder;
}

const shapes: Shape[] = [
  { depth: 48, columns: [100], weights: 1, input: "f32", weight: "f32", epilogue: "pointwise" },
  { depth: 33, columns: [3, 5, 16], weights: 1, input: "f32", weight: "bf16", epilogue: "norm" },
  { depth: 64, columns: [700], weights: 2, input: "bf16", weight: "bf16", epilogue: "pointwise" },
  { depth: 20, columns: [4, 32], weights: 1, input: "f16", weight: "f16", epilogue: "halves" },
  { depth: 16, columns: [1500], weights: 1, input: "f32", weight: "f32", epilogue: "norm" },
  { depth: 16, columns: [2, 1300], weights: 2, input: "f32", weight: "bf16", epilogue: "norm" },
  { depth: 7, columns: [6, 300], weights: 1, input: "f32", weight: "f32", epilogue: "pointwise" },
];
for (const shape of shapes) {
  const { plan } = matmulPlan(shape);
  test(plan.name, async () => {
    // Inputs of 8 bits of precision may round to a neighbour of the reference's.
    const tolerance = shape.input === "f32" ? 1e-4 : 2e-2;
    for (const seq of [0, 1, 3, most])
      await compare(
        { plan, program: "main", symbols: { seq } },
        { tolerance, threads: seq === 3 ? [1, 2, 3, 8] : [1, 2] },
      );
  });
}

test("q, k and v with norms, rope and an append to the cache, then attention", async () => {
  for (const dtype of ["f32", "bf16"] as const) {
    const plan = qkvPlan({ dtype, hidden: 32, heads: 4, kvHeads: 2, headDim: 16, capacity: 300, chunk: 40 });
    for (const [past, seq] of [
      [0, 1],
      [0, 40],
      [7, 1],
      [11, 5],
      [260, 40],
      [299, 1],
    ] as const)
      await compare(
        { plan, program: "step", symbols: { past, seq } },
        { tolerance: dtype === "f32" ? 1e-4 : 2e-2, threads: [1, 2, 3] },
      );
  }
});

interface AttentionShape {
  readonly query: PlanDtype;
  readonly keys: PlanDtype;
  readonly headMajor: boolean;
  readonly causal: boolean;
  readonly headDim: number;
}

function attentionPlan(shape: AttentionShape): PlanBuilder {
  const [heads, kvHeads, positions, size] = [6, 2, 70, shape.headDim];
  const builder = new PlanBuilder(`attention ${JSON.stringify(shape)}`);
  const past = builder.symbol("past", positions);
  const seq = builder.symbol("seq", positions);
  const total = builder.symbol("total", positions, [past, seq]);
  const q = builder.buffer("q", "input", "f32", [positions, heads, size]);
  const k = builder.buffer("k", "weights", shape.keys, [kvHeads, positions, size]);
  const v = builder.buffer("v", "weights", shape.keys, [positions, kvHeads, size]);
  const narrow = builder.buffer("narrow", "activations", shape.query, [heads, positions, size]);
  const mixed = builder.buffer("mixed", "activations", shape.query, [positions, heads, size]);
  const out = builder.buffer("out", "output", "f32", [positions, heads, size]);
  const [fromStrides, dense] = [
    [heads * size, size],
    shape.headMajor ? [size, positions * size] : [heads * size, size],
  ];
  const loops = [loop("seq", times(seq)), loop("head", heads)];
  const copy = (from: PlanDtype, to: PlanDtype, a: number[], b: number[]) => {
    const body = new Body();
    body.store(access(1, b), body.load(access(0, a), size), size);
    return builder.kernel({
      kind: "rows",
      name: "copy",
      slots: [slot("from", from, "read"), slot("to", to, "write")],
      program: body.program(loops, loop("dim", size)),
    });
  };
  const heads_ = (slotIndex: number, positionStride: number, headStride: number) => ({
    slot: slotIndex,
    offset: affine(0),
    positionStride,
    headStride,
  });
  const attention = builder.kernel({
    kind: "attention",
    name: "attention",
    slots: [
      slot("q", shape.query, "read"),
      slot("k", shape.keys, "read"),
      slot("v", shape.keys, "read"),
      slot("out", shape.query, "write"),
    ],
    queries: times(seq),
    keys: times(total),
    past: times(past),
    heads,
    kvHeads,
    headDim: size,
    scale: 1 / Math.sqrt(size),
    causal: shape.causal,
    query: heads_(0, dense[0]!, dense[1]!),
    key: heads_(1, size, positions * size),
    value: heads_(2, kvHeads * size, size),
    output: heads_(3, heads * size, size),
  });
  builder.program(
    "main",
    [
      builder.step(copy("f32", shape.query, fromStrides, dense), q, narrow),
      builder.step(attention, narrow, k, v, mixed),
      builder.step(copy(shape.query, "f32", fromStrides, fromStrides), mixed, out),
    ],
    { q: [times(seq), affine(heads), affine(size)], out: [times(seq), affine(heads), affine(size)] },
  );
  return builder;
}

for (const shape of [
  { query: "f32", keys: "f32", headMajor: false, causal: true, headDim: 16 },
  { query: "f32", keys: "bf16", headMajor: true, causal: true, headDim: 24 },
  { query: "bf16", keys: "f16", headMajor: false, causal: false, headDim: 8 },
] as AttentionShape[]) {
  const { plan } = attentionPlan(shape);
  test(plan.name, async () => {
    for (const [past, seq] of [
      [0, 1],
      [69, 1],
      [3, 2],
      [0, 70],
      [20, 50],
    ] as const)
      await compare(
        { plan, program: "main", symbols: { past, seq } },
        { tolerance: shape.query === "f32" ? 1e-4 : 2e-2, threads: [1, 3] },
      );
  });
}

for (const [name, a, b, dtype] of [
  ["rows dot rows", [60, 0, 1], [0, 60, 1], "f32"],
  ["rows dot rows", [60, 0, 1], [0, 60, 1], "bf16"],
  ["a transposed", [1, 0, 5], [0, 1, 9], "f32"],
  ["b by columns", [60, 0, 1], [0, 1, 9], "f16"],
  ["neither contiguous", [120, 0, 2], [0, 3, 33], "f32"],
] as [string, number[], number[], PlanDtype][]) {
  test(`contract: ${name}, ${dtype}`, async () => {
    const builder = new PlanBuilder(`contract ${name}`);
    const left = builder.buffer("x", "input", "f32", [5 * 240]);
    const right = builder.buffer("w", "weights", dtype, [3000]);
    const y = builder.buffer("y", "output", "f32", [5, 9]);
    const kernel = builder.kernel({
      kind: "contract",
      name: "contract",
      slots: [slot("x", "f32", "read"), slot("w", dtype, "read"), slot("y", "f32", "write")],
      loops: [loop("m", 5), loop("n", 9)],
      contracted: [loop("k", 60)],
      a: access(0, a, 0),
      b: access(1, b, 0),
      out: access(2, [9, 1], 0),
    });
    builder.program("main", [builder.step(kernel, left, right, y)]);
    await compare({ plan: builder.plan, program: "main", symbols: {} });
  });
}

// Large enough for blocks along every axis: these are multiplied as matrices.
const [m, n, k] = [37, 290, 401];
for (const [name, a, b, out, dtype] of [
  ["dX = dY W", [k, 0, 1], [0, 1, n], [n, 1], "f32"],
  ["dW = dY^T X", [1, 0, m], [0, 1, n], [n, 1], "f32"],
  ["dW = dY^T X", [1, 0, m], [0, 1, n], [n, 1], "bf16"],
  ["Y = X W^T", [k, 0, 1], [0, k, 1], [n, 1], "bf16"],
  ["result by columns", [k, 0, 1], [0, k, 1], [1, m], "f32"],
  ["result apart", [k, 0, 1], [0, k, 1], [2 * n, 2], "f32"],
  ["right side in f16", [k, 0, 1], [0, k, 1], [n, 1], "f16"],
] as [string, number[], number[], number[], PlanDtype][]) {
  test(`product by strides: ${name}, ${dtype}`, async () => {
    const builder = new PlanBuilder(`product ${name}`);
    const left = builder.buffer("x", "input", "f32", [m * k]);
    const right = builder.buffer("w", "weights", dtype, [n * k]);
    const y = builder.buffer("y", "output", "f32", [m * n * (out[1] === 2 ? 2 : 1)]);
    const kernel = builder.kernel({
      kind: "contract",
      name: "contract",
      slots: [slot("x", "f32", "read"), slot("w", dtype, "read"), slot("y", "f32", "write")],
      loops: [loop("m", m), loop("n", n)],
      contracted: [loop("k", k)],
      a: access(0, a, 0),
      b: access(1, b, 0),
      out: access(2, out, 0),
    });
    builder.program("main", [builder.step(kernel, left, right, y)]);
    await compare(
      { plan: builder.plan, program: "main", symbols: {} },
      { tolerance: 1e-4, threads: [1, 2, 5] },
    );
  });
}

test("a product over two axes that lie apart, in a batch", async () => {
  const builder = new PlanBuilder();
  const x = builder.buffer("x", "input", "f32", [3, 9, 4, 30]);
  const w = builder.buffer("w", "weights", "f32", [3, 4, 11, 30]);
  const y = builder.buffer("y", "output", "f32", [3, 9, 11]);
  const kernel = builder.kernel({
    kind: "contract",
    name: "contract",
    slots: [slot("x", "f32", "read"), slot("w", "f32", "read"), slot("y", "f32", "write")],
    loops: [loop("b", 3), loop("m", 9), loop("n", 11)],
    contracted: [loop("j", 4), loop("k", 30)],
    a: access(0, [1080, 120, 0, 30, 1], 0),
    b: access(1, [1320, 0, 30, 330, 1], 0),
    out: access(2, [99, 11, 1], 0),
  });
  builder.program("main", [builder.step(kernel, x, w, y)]);
  await compare(
    { plan: builder.plan, program: "main", symbols: {} },
    { tolerance: 1e-4, threads: [1, 2, 5] },
  );
});

test("contract over two axes into bf16, batched", async () => {
  const builder = new PlanBuilder();
  const x = builder.buffer("x", "input", "f32", [3, 4, 20]);
  const w = builder.buffer("w", "weights", "f32", [3, 7, 4, 20]);
  const y = builder.buffer("y", "output", "bf16", [7, 3]);
  const kernel = builder.kernel({
    kind: "contract",
    name: "contract",
    slots: [slot("x", "f32", "read"), slot("w", "f32", "read"), slot("y", "bf16", "write")],
    loops: [loop("b", 3), loop("n", 7)],
    contracted: [loop("j", 4), loop("k", 20)],
    a: access(0, [80, 0, 20, 1], 0),
    b: access(1, [560, 80, 20, 1], 0),
    out: access(2, [1, 3], 0),
  });
  builder.program("main", [builder.step(kernel, x, w, y)]);
  await compare({ plan: builder.plan, program: "main", symbols: {} }, { tolerance: 1e-2 });
});

test.run();
