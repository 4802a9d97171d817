/** Parameters by their absolute names. */
import {
  axis,
  chain,
  embedding,
  formatProblem,
  linear,
  named,
  orThrow,
  parallel,
  parametersOf,
  repeat,
  rmsNorm,
} from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { axes, vocab } from "./axes.ts";
import { qwen3Block } from "./yardstick.ts";

const { hidden, intermediate } = axes;
const test = suite("blocks: parameters");

test("names are those of the checkpoint", () => {
  const all = orThrow(parametersOf(repeat("model.layers", 2, () => qwen3Block(axes, 1e-6, 1e6))));
  assert.equal(
    all.slice(11).map((one) => `${one.name} [${one.axes.map((a) => a.size).join(", ")}]`),
    [
      "model.layers.1.input_layernorm.weight [64]",
      "model.layers.1.self_attn.q_proj.weight [4, 16, 64]",
      "model.layers.1.self_attn.q_norm.weight [16]",
      "model.layers.1.self_attn.k_proj.weight [2, 16, 64]",
      "model.layers.1.self_attn.k_norm.weight [16]",
      "model.layers.1.self_attn.v_proj.weight [2, 16, 64]",
      "model.layers.1.self_attn.o_proj.weight [64, 4, 16]",
      "model.layers.1.post_attention_layernorm.weight [64]",
      "model.layers.1.mlp.gate_proj.weight [128, 64]",
      "model.layers.1.mlp.up_proj.weight [128, 64]",
      "model.layers.1.mlp.down_proj.weight [64, 128]",
    ],
  );
});

test("a shared parameter stands once, with all its users", () => {
  const tied = chain(
    embedding("model.embed_tokens", vocab, hidden),
    linear("lm_head", hidden, vocab, { weight: "model.embed_tokens.weight" }),
  );
  assert.equal(
    orThrow(parametersOf(tied)).map((one) => [one.name, one.users]),
    [["model.embed_tokens.weight", ["model.embed_tokens", "lm_head"]]],
  );
  const twice = rmsNorm("norm", hidden, 1e-6);
  assert.is(orThrow(parametersOf(chain(twice, twice))).length, 1);
});

test("all clashes are reported together", () => {
  const wrong = chain(
    parallel(
      named("a", linear("fc", hidden, intermediate)),
      named("a", linear("fc", hidden, intermediate)),
      linear("b", hidden, intermediate, { weight: "table" }),
      linear("c", hidden, axis("vocab", 7), { weight: "table" }),
    ),
  );
  const found = parametersOf(wrong);
  assert.is(found._tag, "Left");
  const texts = found._tag === "Left" ? found.left.map(formatProblem) : [];
  assert.is(texts.length, 2);
  assert.match(
    texts[0]!,
    /^\[parametersOf\] a\.fc\.weight must belong to one block; given two blocks, the first of \S+:\d+:\d+; at a\.fc \(\S+\); give them different paths/,
  );
  assert.match(
    texts[1]!,
    /^\[parametersOf\] table must have one shape wherever it is used; given \[intermediate=128, hidden=64\] in b and \[vocab=7, hidden=64\]; at c /,
  );
});

test.run();
