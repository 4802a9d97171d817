/** Reading `->>` notation back. */
import {
  attend,
  axis,
  type Block,
  type BlockLike,
  blockEquals,
  chain,
  type first,
  id,
  linear,
  maximum,
  merge,
  mul,
  normalize,
  parallel,
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

test("ranges of layers", () => {
  const message = (text: string) => {
    try {
      wire(text, parts);
    } catch (error) {
      return (error as Error).message.replace(/; at .*/, "");
    }
    throw new Error("read");
  };
  assert.is(message("h[0..3]: (norm) x3"), "[wire] h[0..3] must be followed by x4; given x3");
  assert.is(message("h[1..3]: (norm) x3"), "[wire] layers must be listed as prefix[0..last]; given h[1..3]");
});

type Endo = Block<["hidden"], ["hidden"]>;
const leaves: readonly Endo[] = [0, 1, 2, 3, 4].map((index) => linear(`mix.m${index}`, hidden, hidden));

const { endo } = fc.letrec<{ endo: Endo }>((tie) => ({
  endo: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom(...leaves),
    fc.constant(id as BlockLike as Endo),
    fc.tuple(tie("endo"), tie("endo")).map(([a, b]): Endo => chain(a, b, silu)),
    fc.tuple(tie("endo"), tie("endo")).map(([a, b]): Endo => chain(parallel(a, b), merge(maximum))),
    fc
      .tuple(tie("endo"), tie("endo"), tie("endo"))
      .map(([a, b, c]): Endo => chain(parallel(a, chain(b, tanh)), split(c, id), merge(mul))),
    tie("endo").map((a): Endo => residual(chain(leaves[0]!, a))),
    tie("endo").map((a): Endo => stage("label", a)),
    fc
      .tuple(tie("endo"), fc.integer({ min: 1, max: 3 }))
      .map(([a, n]): Endo => repeat("h", n, () => chain(a, silu))),
  ),
}));

test("what is printed reads back as the same block", () => {
  fc.assert(
    fc.property(endo, fc.integer({ min: 20, max: 200 }), (block, width) => {
      const names = vocabularyOf(block);
      for (const text of [printBlock(block), prettyBlock(block, width)]) {
        const again = wire(text, names);
        assert.ok(blockEquals(normalize(again), normalize(block)), text);
        assert.is(printBlock(again), printBlock(block));
      }
    }),
  );
});

test("the Qwen3 block reads back", () => {
  // Both ropes are one block here: `wire` can tell leaves apart only by their printed names.
  const block = qwen3Block(axes, 1e-6, 1e6);
  assert.ok(blockEquals(normalize(wire(prettyBlock(block), vocabularyOf(block))), normalize(block)));
  const odd = axis("hidden", 8);
  assert.ok(!blockEquals(block, qwen3Block({ ...axes, hidden: odd }, 1e-6, 1e6)));
});

test.run();
