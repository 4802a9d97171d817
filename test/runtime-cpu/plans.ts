/** Larger plans by hand that look like what the compiler makes of a transformer. */
import type { Plan } from "@weft/compiler";
import { access, affine, Body, loop, PlanBuilder, slot, times } from "./plan-builder.ts";

export interface QkvShape {
  /** Of weights and cache. */
  readonly dtype: "f32" | "bf16";
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly capacity: number;
  /** The most new positions of one run. */
  readonly chunk: number;
}

/**
 * Program `step`: tokens -> embedding -> norm, q/k/v, norms, rope, append to the cache -> attention -> output projection
 * with residual. Symbols `past` and `seq`; output `y` [seq][hidden].
 */
export function qkvPlan(shape: QkvShape): Plan {
  const { dtype, hidden, heads, kvHeads, headDim, capacity, chunk } = shape;
  const [all, half, vocabulary] = [heads * headDim, headDim / 2, 11];
  const builder = new PlanBuilder(`qkv ${dtype}`);
  const past = builder.symbol("past", capacity);
  const seq = builder.symbol("seq", chunk);
  const total = builder.symbol("total", capacity, [past, seq]);
  const tokens = builder.buffer("tokens", "input", "i32", [chunk]);
  const table = builder.buffer("embed.weight", "weights", dtype, [vocabulary, hidden]);
  const norm = builder.buffer("norm.weight", "weights", "f32", [hidden]);
  const weight = (name: string, columns: number, depth: number) =>
    builder.buffer(`${name}.weight`, "weights", dtype, [columns, depth]);
  const [wq, wk, wv] = [
    weight("q", all, hidden),
    weight("k", kvHeads * headDim, hidden),
    weight("v", kvHeads * headDim, hidden),
  ];
  const wo = weight("o", hidden, all);
  const x = builder.buffer("x", "activations", "f32", [chunk, hidden]);
  const q = builder.buffer("q", "activations", "f32", [chunk, heads, headDim]);
  const mixed = builder.buffer("mixed", "activations", "f32", [chunk, heads, headDim]);
  const keys = builder.buffer("cache.k", "state", dtype, [kvHeads, capacity, headDim], 1);
  const values = builder.buffer("cache.v", "state", dtype, [kvHeads, capacity, headDim], 1);
  const y = builder.buffer("y", "output", "f32", [chunk, hidden]);

  const rows = [loop("seq", times(seq))];
  const embed = new Body();
  const token = embed.load(access(0, [1], 0), 1);
  embed.store(access(2, [hidden]), embed.gather(access(1, [0]), token, hidden, vocabulary, hidden), hidden);
  const embedding = builder.kernel({
    kind: "rows",
    name: "embed",
    slots: [slot("tokens", "i32", "read"), slot("table", dtype, "read"), slot("x", "f32", "write")],
    program: embed.program(rows, loop("hidden", hidden)),
  });

  const prologue = new Body();
  const normed = prologue.rmsNorm(prologue.load(access(0, [hidden]), hidden), hidden);
  prologue.binary("mul", normed, prologue.load(access(1, [0]), hidden));
  const rotated = (body: Body): number => {
    const value = body.rmsNorm(body.accumulator(0, headDim), headDim);
    const [a, b] = [body.slice(value, 0, half), body.slice(value, half, half)];
    const rate = body.binary("mul", body.index(-1, half), body.constant(-9 / half));
    const angle = body.binary("mul", body.index(0, 1, times(past)), body.unary("exp", rate));
    const [cos, sin] = [body.unary("cos", angle), body.unary("sin", angle)];
    const left = body.binary("sub", body.binary("mul", a, cos), body.binary("mul", b, sin));
    const right = body.binary("add", body.binary("mul", b, cos), body.binary("mul", a, sin));
    return body.concat(left, right);
  };
  const [qBody, kBody, vBody] = [new Body(), new Body(), new Body()];
  const cacheStrides = [headDim, capacity * headDim];
  qBody.store(access(5, [all, headDim]), rotated(qBody), headDim);
  kBody.store(access(6, cacheStrides, 1, times(past, headDim)), rotated(kBody), headDim);
  vBody.store(access(7, cacheStrides, 1, times(past, headDim)), vBody.accumulator(0, headDim), headDim);
  const group = (slotIndex: number, count: number, body: Body) => ({
    weights: [slotIndex],
    columns: count * headDim,
    epilogue: body.program([...rows, loop("heads", count)], loop("headDim", headDim)),
  });
  const qkv = builder.kernel({
    kind: "matmul",
    name: "norm_qkv_rope",
    slots: [
      slot("x", "f32", "read"),
      slot("norm", "f32", "read"),
      ...["wq", "wk", "wv"].map((name) => slot(name, dtype, "read")),
      slot("q", "f32", "write"),
      slot("k", dtype, "update"),
      slot("v", dtype, "update"),
    ],
    rows,
    contracted: hidden,
    inputDtype: dtype,
    orderedSums: false,
    prologue: prologue.program(rows, loop("hidden", hidden)),
    groups: [group(2, heads, qBody), group(3, kvHeads, kBody), group(4, kvHeads, vBody)],
  });

  const place = (slotIndex: number, positionStride: number, headStride: number) => ({
    slot: slotIndex,
    offset: affine(0),
    positionStride,
    headStride,
  });
  const attention = builder.kernel({
    kind: "attention",
    name: "attention",
    slots: [
      slot("q", "f32", "read"),
      slot("k", dtype, "read"),
      slot("v", dtype, "read"),
      slot("out", "f32", "write"),
    ],
    queries: times(seq),
    keys: times(total),
    past: times(past),
    heads,
    kvHeads,
    headDim,
    scale: 1 / Math.sqrt(headDim),
    causal: true,
    query: place(0, all, headDim),
    key: place(1, headDim, capacity * headDim),
    value: place(2, headDim, capacity * headDim),
    output: place(3, all, headDim),
  });

  const input = new Body();
  input.load(access(0, [all]), all);
  const residual = new Body();
  residual.store(
    access(3, [hidden]),
    residual.binary("add", residual.accumulator(0, hidden), residual.load(access(2, [hidden]), hidden)),
    hidden,
  );
  const projection = builder.kernel({
    kind: "matmul",
    name: "o_residual",
    slots: [
      slot("mixed", "f32", "read"),
      slot("wo", dtype, "read"),
      slot("x", "f32", "read"),
      slot("y", "f32", "write"),
    ],
    rows,
    contracted: all,
    inputDtype: dtype,
    orderedSums: false,
    prologue: input.program(rows, loop("all", all)),
    groups: [{ weights: [1], columns: hidden, epilogue: residual.program(rows, loop("hidden", hidden)) }],
  });
  builder.program(
    "step",
    [
      builder.step(embedding, tokens, table, x),
      builder.step(qkv, x, norm, wq, wk, wv, q, keys, values),
      builder.step(attention, q, keys, values, mixed),
      builder.step(projection, mixed, wo, x, y),
    ],
    { tokens: [times(seq)], y: [times(seq), affine(hidden)] },
  );
  return builder.plan;
}
