/** Blocks within blocks: as deep as anyone needs, and no deeper than a stack is. */
import {
  axis,
  type BlockLike,
  blockEquals,
  chain,
  linear,
  parametersOf,
  pointwise,
  printBlock,
  residual,
  silu,
  wire,
} from "@weft/dsl";
import { isRight } from "fp-ts/lib/Either.js";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("blocks: depth");
const hidden = axis("hidden", 4);
const up = linear("up", hidden, hidden);

function nested(depth: number, around: (block: BlockLike) => BlockLike): BlockLike {
  let block: BlockLike = up;
  for (let at = 0; at < depth; at++) block = around(block);
  return block;
}

const inResidual = (block: BlockLike) => residual(block as typeof up);

test("what nests within the limit is printed, read and compared", () => {
  const block = nested(990, inResidual);
  assert.is(printBlock(block), `${"residual(".repeat(990)}up${")".repeat(990)}`);
  assert.ok(isRight(parametersOf(block)));
  assert.ok(blockEquals(block, nested(990, inResidual)));
});

test("what nests deeper is refused where it is written, with what to do", () => {
  for (const around of [inResidual, (block: BlockLike) => (block as typeof up).named("a")]) {
    assert.throws(
      () => nested(1001, around),
      /\] blocks must not be nested deeper than 1000; given one that goes deeper; at .*depth\.test\.ts:\d+:\d+; put blocks side by side: chain and repeat take any number of them$/,
    );
  }
});

test("a chain that is built step by step is one chain, however long", () => {
  let block: BlockLike = up;
  for (let at = 0; at < 5000; at++) block = (block as typeof up).to(silu);
  assert.is(printBlock(block).split(" ->> ").length, 5001);
  assert.ok(blockEquals(chain(chain(up, silu), chain(silu, up)), chain(up, silu, silu, up)));
});

test("a text nests no deeper either, with a caret", () => {
  const text = `${"(".repeat(5000)}up${")".repeat(5000)}`;
  assert.throws(
    () => wire(text as string as never, { up } as never),
    /\[wire\] blocks must not be nested deeper.*\n.*\(\(\(.*\n +\^/,
  );
});

test("a traced function that is too long is refused, values that are used again counted again", () => {
  const long = () =>
    pointwise("long", (x) => {
      let value = x;
      for (let at = 0; at < 10_000; at++) value = value.mul(2);
      return value;
    });
  const doubled = () =>
    pointwise("doubled", (x) => {
      let value = x;
      for (let at = 0; at < 40; at++) value = value.mul(value);
      return value;
    });
  for (const make of [long, doubled])
    assert.throws(
      make,
      /\[pointwise\] a function must have at most 1000 operations.*; make several blocks of it/,
    );
});

test.run();
