/** What the type checker finds for programs that are right, and that the blocks built have the same wires. */
import {
  type Anything,
  apply,
  axis,
  type Block,
  type Bools,
  cast,
  chain,
  embedding,
  first,
  type Ints,
  id,
  input,
  less,
  linear,
  maximum,
  merge,
  mul,
  named,
  parallel,
  pointwise,
  repeat,
  residual,
  rmsNorm,
  rope,
  second,
  select,
  silu,
  softmax,
  split,
  stage,
  tanh,
  tuple,
  type Value,
  type WireSpec,
  wireEquals,
} from "@weft/dsl";
import { expectTypeOf } from "expect-type";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { axes, vocab } from "../blocks/axes.ts";
import { qwen3Block } from "../blocks/yardstick.ts";

const { hidden, heads, kvHeads, headDim, intermediate } = axes;
const q = linear("q", hidden, [heads, headDim]);
const k = linear("k", hidden, [kvHeads, headDim]);
const up = linear("up", hidden, intermediate);
const turn = rope(headDim, 1e6);
const test = suite("types: right programs");

/** The wires of a block at run time, in the notation of the types. */
function wiresOf(block: { readonly input: WireSpec; readonly output: WireSpec }): string {
  const show = (wire: WireSpec): string =>
    wire.tag === "tuple"
      ? `(${wire.wires.map(show).join(", ")})`
      : wire.tag === "any"
        ? `*${wire.variable}`
        : `${wire.kind === "float" ? "" : wire.kind}[${[...(wire.lead === undefined ? [] : [`...${wire.lead}`]), ...wire.axes.map((one) => one.name)].join(" ")}]`;
  return `${show(block.input)} -> ${show(block.output)}`;
}

test("the Qwen3 block is hidden to hidden", () => {
  const block = qwen3Block(axes, 1e-6, 1e6);
  expectTypeOf(block).toEqualTypeOf<Block<["hidden"], ["hidden"]>>();
  assert.is(wiresOf(block), "[hidden] -> [hidden]");
});

test("a whole model maps tokens to logits", () => {
  const model = chain(
    embedding("model.embed_tokens", vocab, hidden),
    repeat("model.layers", 2, () => qwen3Block(axes, 1e-6, 1e6)),
    rmsNorm("model.norm", hidden, 1e-6),
    linear("lm_head", hidden, vocab),
  );
  expectTypeOf(model).toEqualTypeOf<Block<Ints<[]>, ["vocab"]>>();
  assert.is(wiresOf(model), "int[] -> [vocab]");
  const logits = apply(model, input("tokens", axis("seq", { symbol: "seq", max: 8 }), "int"));
  expectTypeOf(logits).toEqualTypeOf<Value<["seq", "vocab"]>>();
});

test("the lead passes through", () => {
  const block = chain(q, turn, silu);
  expectTypeOf(block).toEqualTypeOf<Block<["hidden"], ["heads", "headDim"]>>();
  assert.is(wiresOf(block), "[hidden] -> [heads headDim]");
});

test("a need moves to the whole block's input", () => {
  const block = chain(silu, turn);
  expectTypeOf(block).toEqualTypeOf<Block<["headDim"], ["headDim"]>>();
  assert.is(wiresOf(block), "[headDim] -> [headDim]");
  const pair = chain(merge(mul), up);
  expectTypeOf(pair).toEqualTypeOf<Block<[["hidden"], ["hidden"]], ["intermediate"]>>();
  assert.is(wiresOf(pair), "([hidden], [hidden]) -> [intermediate]");
});

test("parallel takes what its most demanding branch takes", () => {
  const block = parallel(silu, up, id, tanh);
  expectTypeOf(block).toEqualTypeOf<
    Block<["hidden"], [["hidden"], ["intermediate"], ["hidden"], ["hidden"]]>
  >();
  assert.is(wiresOf(block), "[hidden] -> ([hidden], [intermediate], [hidden], [hidden])");
  const scaled = chain(parallel(id, softmax(vocab)), merge(mul));
  expectTypeOf(scaled).toEqualTypeOf<Block<["vocab"], ["vocab"]>>();
  assert.is(wiresOf(scaled), "[vocab] -> [vocab]");
});

test("split keeps the leads of its parts apart", () => {
  const block = chain(parallel(q, k), split(turn, turn));
  expectTypeOf(block).toEqualTypeOf<Block<["hidden"], [["heads", "headDim"], ["kvHeads", "headDim"]]>>();
  assert.is(wiresOf(block), "[hidden] -> ([heads headDim], [kvHeads headDim])");
  const alone = split(q, k);
  expectTypeOf(alone).toEqualTypeOf<
    Block<
      [["...0", "hidden"], ["...1", "hidden"]],
      [["...0", "heads", "headDim"], ["...1", "kvHeads", "headDim"]]
    >
  >();
  assert.is(
    wiresOf(alone),
    "([...0 hidden], [...1 hidden]) -> ([...0 heads headDim], [...1 kvHeads headDim])",
  );
  const joined = chain(alone, split(silu, turn));
  expectTypeOf(joined).toEqualTypeOf<typeof alone>();
  assert.ok(wireEquals(joined.input, alone.input) && wireEquals(joined.output, alone.output));
});

test("leads that are merged become one", () => {
  const block = chain(split(q, q), merge(mul));
  expectTypeOf(block).toEqualTypeOf<Block<[["hidden"], ["hidden"]], ["heads", "headDim"]>>();
  assert.is(wiresOf(block), "([hidden], [hidden]) -> [heads headDim]");
});

test("first and second pass the other part through, whatever it is", () => {
  expectTypeOf(first(q)).toEqualTypeOf<Block<[["hidden"], Anything], [["heads", "headDim"], Anything]>>();
  assert.is(wiresOf(first(q)), "([hidden], *) -> ([heads headDim], *)");
  const block = chain(first(q), second(q), merge(maximum));
  expectTypeOf(block).toEqualTypeOf<Block<[["hidden"], ["hidden"]], ["heads", "headDim"]>>();
  assert.is(wiresOf(block), "([hidden], [hidden]) -> [heads headDim]");
  const nested = chain(parallel(parallel(q, k), up), second(silu));
  expectTypeOf(nested).toEqualTypeOf<
    Block<["hidden"], [[["heads", "headDim"], ["kvHeads", "headDim"]], ["intermediate"]]>
  >();
  assert.is(wiresOf(nested), "[hidden] -> (([heads headDim], [kvHeads headDim]), [intermediate])");
});

test("id is neutral for every wire", () => {
  expectTypeOf(chain(id, q, id)).toEqualTypeOf<typeof q>();
  expectTypeOf(chain(id, id)).toEqualTypeOf<typeof id>();
  expectTypeOf(chain(parallel(q, k), id)).toEqualTypeOf<
    Block<["hidden"], [["heads", "headDim"], ["kvHeads", "headDim"]]>
  >();
  expectTypeOf(first(id)).toEqualTypeOf<
    Block<[Anything<"0">, Anything<"1">], [Anything<"0">, Anything<"1">]>
  >();
  assert.is(wiresOf(chain(id, q, id)), wiresOf(q));
  assert.is(wiresOf(chain(id, id)), "* -> *");
  assert.is(wiresOf(first(id)), "(*0, *1) -> (*0, *1)");
});

test("methods are the combinators", () => {
  expectTypeOf(q.to(turn).to(silu)).toEqualTypeOf<typeof q>();
  expectTypeOf(q.named("self_attn")).toEqualTypeOf<typeof q>();
  expectTypeOf(tanh.to(up).named("mlp")).toEqualTypeOf<typeof up>();
  expectTypeOf(named("a", stage("b", residual(silu)))).toEqualTypeOf<Block<[], []>>();
  assert.is(wiresOf(tanh.to(up).named("mlp")), "[hidden] -> [intermediate]");
});

test("kinds", () => {
  expectTypeOf(less).toExtend<Block<[[], []], Bools<[]>>>();
  const block = chain(parallel(up, up), merge(less));
  expectTypeOf(block).toEqualTypeOf<Block<["hidden"], Bools<["intermediate"]>>>();
  assert.is(wiresOf(block), "[hidden] -> bool[intermediate]");
  expectTypeOf(chain(embedding("e", vocab, hidden), cast("bf16"))).toEqualTypeOf<
    Block<Ints<[]>, ["hidden"]>
  >();
});

test("pointwise functions have one wire per argument", () => {
  const softcap = pointwise("softcap", (x) => tanh(x.div(30)).mul(30));
  expectTypeOf(softcap).toEqualTypeOf<Block<[], []>>();
  const swiglu = pointwise("swiglu", (gate, value) => gate.mul(gate.sigmoid()).mul(value));
  expectTypeOf(swiglu).toEqualTypeOf<Block<[[], []], []>>();
  const lerp = pointwise("lerp", (a, b, t) => select(t.less(0), a, a.add(b.sub(a).mul(t))));
  expectTypeOf(lerp).toEqualTypeOf<Block<[[], [], []], []>>();
  assert.is(wiresOf(lerp), "([], [], []) -> []");
});

test("values", () => {
  const seq = axis("seq", 8);
  const pair = tuple(input("a", [seq, hidden]), input("b", [seq, hidden]));
  expectTypeOf(pair).toEqualTypeOf<Value<[["seq", "hidden"], ["seq", "hidden"]]>>();
  const result = apply(merge(mul), pair);
  expectTypeOf(result).toEqualTypeOf<Value<["seq", "hidden"]>>();
  expectTypeOf(apply(up, result)).toEqualTypeOf<Value<["seq", "intermediate"]>>();
});

test("a block from a list is checked when it is built", () => {
  const layers = ["a", "b"].map((name) => linear(name, hidden, hidden));
  const block = chain(...layers);
  assert.is(wiresOf(block), "[hidden] -> [hidden]");
});

test.run();
