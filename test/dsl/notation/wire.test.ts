/** Reading `->>` notation back. */
import {
  attend,
  axis,
  type Block,
  type BlockLike,
  blockEquals,
  chain,
  first,
  id,
  linear,
  maximum,
  merge,
  mul,
  named,
  normalize,
  parallel,
  pointwise,
  prettyBlock,
  printBlock,
  repeat,
  residual,
  rmsNorm,
  rope,
  silu,
  split,
  stage,
  tanh,
  vocabularyOf,
  WeftError,
  wire,
} from "@weft/dsl";
import { expectTypeOf } from "expect-type";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../../support/fast-check.ts";
import { axes } from "../blocks/axes.ts";
import { qwen3Block } from "../blocks/yardstick.ts";

const { hidden, heads, kvHeads, headDim, intermediate } = axes;
const test = suite("notation: wire");

const parts = {
  norm: rmsNorm("norm", hidden, 1e-6),
  q: linear("q", hidden, [heads, headDim]),
  k: linear("k", hidden, [kvHeads, headDim]),
  v: linear("v", hidden, [kvHeads, headDim]),
  turn: rope(headDim, 1e6),
  attend: attend({ heads, kvHeads, headDim, causal: true }),
  o: linear("o", [heads, headDim], hidden),
  gate: linear("gate", hidden, intermediate),
  up: linear("up", hidden, intermediate),
  down: linear("down", intermediate, hidden),
  silu,
  mul,
};

test("a text has the type of its block", () => {
  const attention = wire("norm ->> (q ->> turn | k ->> turn | v) ->> attend ->> o", parts);
  expectTypeOf(attention).toEqualTypeOf<Block<["hidden"], ["hidden"]>>();
  const { norm, q, k, v, turn, o } = parts;
  const written = chain(norm, parallel(chain(q, turn), chain(k, turn), v), parts.attend, o);
  assert.ok(blockEquals(attention, written));
  const model = wire(
    `model.layers[0..35]: (
       residual(norm ->> (q ->> turn | k ->> turn | v) ->> attend ->> o)
       ->> mlp: residual(norm ->> (gate ->> silu | up) ->> mul ->> down)
     ) x36
     ->> norm`,
    parts,
  );
  expectTypeOf(model).toEqualTypeOf<Block<["hidden"], ["hidden"]>>();
  assert.match(printBlock(model), /^model\.layers\[0\.\.35\]: \(residual\(.* x36 ->> norm$/);
  expectTypeOf(wire("split(q | id)", parts)).toEqualTypeOf<ReturnType<typeof first<typeof q>>>();
  expectTypeOf(wire("stage(attention, q)", parts)).toEqualTypeOf<typeof q>();
});

test("a text that is not known before is checked when it is read", () => {
  const text: string = "norm ->> q";
  const block: BlockLike = wire(text, parts);
  assert.is(printBlock(block), "norm ->> q");
  assert.throws(
    () => wire("norm -> q" as string, parts),
    (error: unknown) =>
      error instanceof WeftError && /^\[wire\] expected ->> or the end before '-> q'/.test(error.message),
  );
});

const message = (text: string) => {
  try {
    wire(text, parts);
  } catch (error) {
    return (error as Error).message.replace(/; at [^;\n]*/, "");
  }
  throw new Error("read");
};

test("ranges of layers", () => {
  assert.is(
    message("h[0..3]: (norm) x3"),
    "[wire] h[0..3] must be followed by x4; given x3\n  h[0..3]: (norm) x3\n                  ^",
  );
  for (const [text, given] of [
    ["h[1..3]: (norm) x3", "h[1..3]"],
    ["h[0]: (norm) ->> h[2..3]: (norm) x2", "h[2..3]"],
    ["h[0]: (norm) ->> g[1]: (norm)", "g[1]"],
    ["named: h[1]: (norm)", "h[1]"],
    ["h[3..1]: (norm)", "h[3..1]"],
    ["h[0..999999999]: (norm) x1000000000", "h[0..999999999]"],
  ] as const) {
    assert.match(
      message(text),
      `layers are listed as prefix[0..last], or go on where those before them end; ${given} does`,
    );
  }
  const differ = wire("h[0]: (norm) ->> h[1..2]: (q ->> o) x2 ->> h[0]: (norm)", parts);
  const { norm, q, o } = parts;
  const layers = repeat("h", 3, (at): Block<["hidden"], ["hidden"]> => (at === 0 ? norm : chain(q, o)));
  assert.ok(
    blockEquals(
      differ,
      chain(
        layers,
        repeat("h", 1, () => norm),
      ),
    ),
  );
  expectTypeOf(differ).toEqualTypeOf<Block<["hidden"], ["hidden"]>>();
});

test("spaces are for readers", () => {
  const dense = wire("norm->>(q->>turn|k->>turn|v)->>attend->>o", parts);
  expectTypeOf(dense).toEqualTypeOf<Block<["hidden"], ["hidden"]>>();
  assert.ok(blockEquals(dense, wire(" norm ->> ( q ->> turn | k ->> turn | v )\t->> attend\n->> o ", parts)));
  const named = wire("mlp:stage(gated,gate)", parts);
  expectTypeOf(named).toEqualTypeOf<Block<["hidden"], ["intermediate"]>>();
  assert.is(printBlock(named), "mlp: stage(gated, gate)");
  assert.is(printBlock(wire("parallel(silu) ->> split(silu)", parts)), "parallel(silu) ->> split(silu)");
  expectTypeOf(wire("parallel(q)", parts)).toEqualTypeOf<Block<["hidden"], [["heads", "headDim"]]>>();
});

test("a caret in a text of several lines, and in a long one", () => {
  assert.is(
    message("norm ->> (\n    q ->> turn\n    | kk\n)"),
    `[wire] no block is called kk; given blocks ${Object.keys(parts).join(", ")}\n  | kk\n    ^`,
  );
  const long = `${"norm ->> ".repeat(30)}q ->> v ->> ${"norm ->> ".repeat(30)}norm`;
  const [, line, caret] = message(long).split("\n");
  assert.match(line!, /^ {2}\.\.\..*norm ->> q ->> v ->> norm.*\.\.\.$/);
  assert.is(line!.length, 2 + 3 + 100 + 3);
  assert.is(line![caret!.indexOf("^")], "v");
});

type Endo = Block<["hidden"], ["hidden"]>;
const leaves: readonly Endo[] = [0, 1, 2, 3, 4].map((index) => linear(`mix.m${index}`, hidden, hidden));
/** Leaves that would read alike: one label, or one ending of a path, for blocks that differ. */
const alike: readonly Endo[] = [
  ...[1, 2, 3].map((by) => pointwise("scaled", (x) => x.mul(by)) as BlockLike as Endo),
  ...[1e-6, 1e-5].map((epsilon) => rmsNorm("norm", hidden, epsilon)),
  linear("other.m0", hidden, hidden),
  linear("id", hidden, hidden),
  linear("residual", hidden, hidden),
];

const { endo } = fc.letrec<{ endo: Endo }>((tie) => ({
  endo: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom(...leaves, ...alike),
    fc.constant(id as BlockLike as Endo),
    fc.tuple(tie("endo"), tie("endo")).map(([a, b]): Endo => chain(a, b, silu)),
    fc.tuple(tie("endo"), tie("endo")).map(([a, b]): Endo => chain(parallel(a, b), merge(maximum))),
    fc
      .tuple(tie("endo"), tie("endo"), tie("endo"))
      .map(([a, b, c]): Endo => chain(parallel(a, chain(b, tanh)), split(c, id), merge(mul))),
    tie("endo").map((a): Endo => residual(chain(leaves[0]!, a))),
    tie("endo").map((a): Endo => stage("label", a)),
    fc
      .tuple(fc.constantFrom("part", "model.part", "model.layers.3", "id"), tie("endo"))
      .map(([path, a]): Endo => named(path, a)),
    fc
      .tuple(tie("endo"), fc.integer({ min: 1, max: 3 }))
      .map(([a, n]): Endo => repeat("h", n, () => chain(a, silu))),
    // Layers that differ, some of them equal neighbours.
    fc
      .tuple(fc.array(tie("endo"), { minLength: 1, maxLength: 2 }), fc.integer({ min: 1, max: 2 }))
      .map(
        ([all, each]): Endo =>
          repeat("h.deep", all.length * each, (at) => chain(leaves[1]!, all[Math.floor(at / each)]!)),
      ),
  ),
}));

/** Blocks of all kinds of wires: tuples in tuples, and of one part only. */
const block: fc.Arbitrary<BlockLike> = fc.oneof(
  endo,
  fc.tuple(endo, endo).map(([a, b]) => parallel(parallel(a, b), a)),
  endo.map((a) => parallel(a)),
  endo.map((a) => chain(parallel(parallel(a)), split(split(a)))),
  fc.tuple(endo, endo).map(([a, b]) => chain(split(a, split(b, id)), first(a))),
  fc.tuple(endo, endo).map(([a, b]) => named("pair", parallel(a, chain(b, parts.q)))),
);

test("what is printed reads back as the same block", () => {
  fc.assert(
    fc.property(block, fc.integer({ min: 20, max: 200 }), (block, width) => {
      const names = vocabularyOf(block);
      for (const text of [printBlock(block), prettyBlock(block, width)]) {
        const again = wire(text, names);
        assert.ok(blockEquals(normalize(again), normalize(block)), text);
        assert.is(printBlock(again), printBlock(block));
      }
    }),
    { numRuns: 300 },
  );
});

test("leaves that differ do not read alike", () => {
  assert.is(
    printBlock(chain(rope(headDim, 1e4), rope(headDim, 1e6), rope(headDim, 1e4))),
    "rope ->> rope~2 ->> rope",
  );
  const turns = { rope: rope(headDim, 1e4), "rope~2": rope(headDim, 1e6) };
  expectTypeOf(wire("rope ->> rope~2", turns)).toEqualTypeOf<Block<["headDim"], ["headDim"]>>();
});

test("the Qwen3 block reads back", () => {
  const block = qwen3Block(axes, 1e-6, 1e6);
  assert.ok(blockEquals(normalize(wire(prettyBlock(block), vocabularyOf(block))), normalize(block)));
  const odd = axis("hidden", 8);
  assert.ok(!blockEquals(block, qwen3Block({ ...axes, hidden: odd }, 1e-6, 1e6)));
});

test.run();
