/** Combinators when they run: sizes, arguments that are no blocks, source lines, immutability. */
import {
  type AnyBlock,
  type Axis,
  apply,
  axis,
  type BlockLike,
  chain,
  formatProblem,
  id,
  input,
  isBlock,
  linear,
  merge,
  mul,
  named,
  parallel,
  programOf,
  repeat,
  residual,
  rmsNorm,
  rope,
  silu,
  split,
  stage,
  tanh,
  tuple,
  WeftError,
} from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { axes } from "./axes.ts";
import { qwen3Block } from "./yardstick.ts";

const { hidden, heads, headDim, intermediate } = axes;
const test = suite("blocks: combinators");

/** What a constructor objects to, without the source line. */
function complaint(build: () => unknown): string {
  try {
    build();
  } catch (error) {
    assert.instance(error, WeftError);
    return (error as WeftError).problems
      .map((one) => formatProblem({ ...one, location: undefined }))
      .join("\n");
  }
  throw new Error("nothing was thrown");
}

const untyped = { chain, parallel, split, merge, residual, repeat, named } as unknown as Record<
  string,
  (...values: unknown[]) => BlockLike
>;

test("sizes clash where names agree", () => {
  const wide = axis("hidden", 128);
  assert.is(
    complaint(() => chain(linear("a", intermediate, hidden), rmsNorm("norm", wide, 1e-6))),
    "[chain] left side produces [..., hidden=64], right side expects [..., hidden=128]; given a on the left, norm on the right",
  );
  assert.is(
    complaint(() => parallel(linear("a", hidden, heads), linear("b", wide, heads))),
    "[parallel] the branches before expect [..., hidden=64], this branch expects [..., hidden=128]; given a before, b as branch 2",
  );
  assert.is(
    complaint(() => residual(linear("a", hidden, wide))),
    "[residual] the block must give what it takes, this one takes [..., hidden=64] and gives [..., hidden=128]; given a",
  );
});

test("layers of a repeat must follow each other", () => {
  const build = (index: number) => {
    const size: Axis<"hidden"> = index === 0 ? hidden : axis("hidden", 128);
    return rmsNorm("norm", size, 1e-6);
  };
  assert.is(
    complaint(() => repeat("layers", 2, build)),
    "[chain] left side produces [..., hidden=64], right side expects [..., hidden=128]; given block 0 of layers on the left, block 1 on the right",
  );
});

test("arguments that are no blocks", () => {
  assert.is(
    complaint(() => untyped.chain?.(silu, 3)),
    "[chain] argument 2 must be a block; given 3",
  );
  assert.is(
    complaint(() => untyped.parallel?.(silu, (x: unknown) => x)),
    "[parallel] argument 2 must be a block; given a function; call it to get its block",
  );
  assert.is(
    complaint(() => untyped.merge?.(undefined)),
    "[merge] the argument must be a block; given undefined",
  );
  assert.is(
    complaint(() => untyped.chain?.()),
    "[chain] needs at least one block",
  );
  assert.is(
    complaint(() => untyped.parallel?.()),
    "[parallel] needs at least one block",
  );
  assert.is(
    complaint(() => untyped.split?.()),
    "[split] needs at least one block",
  );
});

test("counts, paths and labels", () => {
  const norm = rmsNorm("norm", hidden, 1e-6);
  for (const count of [0, -1, 1.5, Number.NaN]) {
    assert.is(
      complaint(() => repeat("layers", count, () => norm)),
      `[repeat] the count must be a positive integer; given ${count}`,
    );
  }
  assert.is(
    complaint(() => named("a..b", norm)),
    '[named] a path is names joined by dots; given "a..b"; write "self_attn.q_proj"',
  );
  assert.is(
    complaint(() => linear("", hidden, hidden)),
    '[named] a path is names joined by dots; given ""; write "self_attn.q_proj"',
  );
  assert.is(
    complaint(() => stage("two words", norm)),
    '[stage] a label is one word; given "two words"',
  );
});

test("an axis must not stand twice in one tensor", () => {
  const again = linear("again", headDim, heads);
  assert.is(
    complaint(() => chain(linear("q", hidden, [heads, headDim]), again)),
    "[chain] a tensor must have each axis once; given heads twice in [..., heads, heads]",
  );
});

test("a block knows the line that built it", () => {
  const built = linear("up", hidden, intermediate);
  assert.match(built.source ?? "", /^test\/dsl\/blocks\/combinators\.test\.ts:\d+:\d+$/);
  const line = (block: AnyBlock) => Number(block.source?.split(":").at(-2));
  const start = line(built);
  const next = [
    chain(silu, silu),
    silu.to(silu),
    silu.named("a"),
    named("a", silu),
    parallel(silu, silu),
    residual(silu),
    repeat("layers", 2, () => silu),
  ];
  const lines = next.map(line);
  assert.is(lines[0], start + 5);
  assert.equal(
    lines,
    [...lines].sort((a, b) => a - b),
  );
  assert.is(new Set(lines).size, next.length);
  assert.match(next[0]?.source ?? "", /combinators\.test\.ts:\d+:\d+$/);
  const inner = built.expression.tag === "named" ? built.expression.block : undefined;
  assert.is(inner?.source, built.source);
  assert.is(silu.source, undefined, "the DSL's own constants have no place in the user's source");
});

test("blocks are plain frozen data", () => {
  const block = qwen3Block(axes, 1e-6, 1e6);
  const visit = (value: unknown, path: string): void => {
    assert.not.type(value, "function", path);
    if (typeof value !== "object" || value === null) return;
    assert.ok(Object.isFrozen(value), path);
    for (const [key, inner] of Object.entries(value)) visit(inner, `${path}.${key}`);
  };
  visit(block, "block");
  assert.equal(
    JSON.parse(JSON.stringify(block)),
    JSON.parse(JSON.stringify(qwen3Block(axes, 1e-6, 1e6))),
    "two builds are equal: there is no hidden counter",
  );
  assert.not("then" in block);
});

test("blocks that are functions too become plain data inside others", () => {
  assert.ok(isBlock(tanh) && isBlock(mul) && isBlock(silu) && !isBlock((x: unknown) => x));
  const block = chain(parallel(tanh, silu), merge(mul));
  const text = JSON.stringify(block);
  assert.match(text, '"op":"tanh"');
  assert.match(text, '"op":"mul"');
});

test("building thirty-six layers is cheap", () => {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 8; round++) {
    const start = process.cpuUsage();
    repeat("model.layers", 36, () => qwen3Block(axes, 1e-6, 1e6));
    best = Math.min(best, process.cpuUsage(start).user / 1000);
  }
  // About 8 ms of a slow core's time, whatever else it does; the limit only catches a change of order.
  assert.ok(best < 80, `${best} ms`);
});

test("values name their inputs and become one block", () => {
  const seq = axis("seq", { symbol: "seq", max: 8 });
  const x = input("x", [seq, hidden]);
  const up = linear("up", hidden, intermediate);
  const gate = linear("gate", hidden, intermediate);
  const { block, inputs } = programOf(apply(merge(mul), tuple(apply(up, x), apply(gate, x))));
  assert.equal(
    inputs.map((one) => one.name),
    ["x", "x"],
  );
  assert.is(block.expression.tag, "chain");
  assert.equal(programOf(apply(up, x)), { block: up, inputs: [{ name: "x", wire: x.wire }] });
  assert.is(programOf(x).block, id as AnyBlock);
  assert.match(
    complaint(() => apply(rope(headDim, 1e6), input("y", seq) as never)),
    /^\[apply\] the value is \[seq\], the block expects \[\.\.\., headDim\]/,
  );
  assert.match(
    complaint(() => input("", seq)),
    /^\[input\] a name is/,
  );
});

test.run();
