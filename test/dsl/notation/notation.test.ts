/** Blocks as text. */
import {
  chain,
  embedding,
  first,
  id,
  linear,
  maximum,
  merge,
  mul,
  named,
  parallel,
  pointwise,
  prettyBlock,
  printBlock,
  repeat,
  residual,
  rmsNorm,
  silu,
  split,
  stage,
  summary,
  tanh,
} from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../../support/fast-check.ts";
import { axes, vocab } from "../blocks/axes.ts";
import { qwen3Block } from "../blocks/yardstick.ts";

const { hidden, intermediate } = axes;
const test = suite("notation");
const block = qwen3Block(axes, 1e-6, 1e6);
const model = chain(
  embedding("model.embed_tokens", vocab, hidden),
  repeat("model.layers", 36, () => qwen3Block(axes, 1e-6, 1e6)),
  rmsNorm("model.norm", hidden, 1e-6),
  linear("lm_head", hidden, vocab, { weight: "model.embed_tokens.weight" }),
);

test("the Qwen3 block on one line", () => {
  assert.is(
    printBlock(block),
    "residual(input_layernorm ->> (q_proj ->> q_norm ->> rope | k_proj ->> k_norm ->> rope | v_proj) ->> attend ->> o_proj)" +
      " ->> residual(post_attention_layernorm ->> (gate_proj ->> silu | up_proj) ->> mul ->> down_proj)",
  );
});

test("a whole model, layers folded, over several lines", () => {
  assert.is(
    prettyBlock(model),
    `
embed_tokens
->> model.layers[0..35]: (
  residual(
    input_layernorm
    ->> (q_proj ->> q_norm ->> rope | k_proj ->> k_norm ->> rope | v_proj)
    ->> attend
    ->> o_proj
  )
  ->> residual(post_attention_layernorm ->> (gate_proj ->> silu | up_proj) ->> mul ->> down_proj)
) x36
->> norm
->> lm_head`.trim(),
  );
});

test("a narrow page", () => {
  assert.is(
    prettyBlock(block, 40),
    `
residual(
  input_layernorm
  ->> (
    q_proj ->> q_norm ->> rope
    | k_proj ->> k_norm ->> rope
    | v_proj
  )
  ->> attend
  ->> o_proj
)
->> residual(
  post_attention_layernorm
  ->> (gate_proj ->> silu | up_proj)
  ->> mul
  ->> down_proj
)`.trim(),
  );
});

test("lines keep within the width where they can, and say the same", () => {
  fc.assert(
    fc.property(fc.integer({ min: 50, max: 300 }), (width) => {
      const text = prettyBlock(model, width);
      for (const line of text.split("\n")) assert.ok(line.length <= width, `${width}: ${line}`);
      const squeezed = text.replace(/\s+/g, " ").replaceAll("( ", "(").replaceAll(" )", ")");
      assert.is(squeezed, printBlock(model));
    }),
    { numRuns: 40 },
  );
});

test("every combinator", () => {
  const up = linear("mlp.up", hidden, intermediate);
  const down = linear("mlp.down", intermediate, hidden);
  const softcap = pointwise("softcap", (x) => tanh(x.div(30)).mul(30));
  const cases: readonly (readonly [string, string])[] = [
    [printBlock(id), "id"],
    [printBlock(chain(id, silu, id)), "silu"],
    [printBlock(chain(silu, chain(tanh, softcap))), "silu ->> tanh ->> softcap"],
    [printBlock(parallel(id, chain(up, silu))), "(id | up ->> silu)"],
    [printBlock(split(silu, tanh)), "split(silu | tanh)"],
    [printBlock(first(silu)), "split(silu | id)"],
    [printBlock(chain(parallel(silu, id), merge(mul))), "(silu | id) ->> mul"],
    [
      printBlock(chain(parallel(silu, id), merge(chain(split(silu, id), maximum)))),
      "(silu | id) ->> split(silu | id) ->> maximum",
    ],
    [printBlock(residual(chain(up, down))), "residual(up ->> down)"],
    [printBlock(named("mlp", chain(up, down))), "mlp: (up ->> down)"],
    [printBlock(named("model", named("mlp", up))), "up"],
    [printBlock(chain(silu, named("a", residual(silu)))), "silu ->> a: residual(silu)"],
    [printBlock(named("a", parallel(silu, id))), "a: ((silu | id))"],
    [printBlock(stage("ffn", chain(up, down))), "stage(ffn, up ->> down)"],
    [printBlock(repeat("layers", 1, () => silu)), "layers[0]: (silu)"],
  ];
  for (const [actual, expected] of cases) assert.is(actual, expected);
});

test("layers that differ are listed in runs", () => {
  const layers = repeat("h", 5, (index) => (index < 3 ? chain(silu, silu) : chain(tanh, silu)));
  assert.is(printBlock(layers), "h[0..2]: (silu ->> silu) x3 ->> h[3..4]: (tanh ->> silu) x2");
  const mixed = repeat("h", 3, (index) => (index === 1 ? chain(tanh, id) : chain(silu, id)));
  assert.is(printBlock(mixed), "h[0]: (silu) ->> h[1]: (tanh) ->> h[2]: (silu)");
});

test("names are as long as they must be", () => {
  const twins = chain(
    linear("encoder.mlp.up", hidden, hidden),
    linear("decoder.mlp.up", hidden, hidden),
    linear("norm", hidden, hidden),
    linear("final.norm", hidden, hidden),
    linear("act.silu", hidden, hidden),
    silu,
  );
  assert.is(
    printBlock(twins),
    "encoder.mlp.up ->> decoder.mlp.up ->> norm ->> final.norm ->> act.silu ->> silu",
  );
});

test("the summary folds equal layers and counts shared parameters once", () => {
  const rows = summary(model);
  assert.equal(
    rows.slice(0, 5).map((row) => [row.path, row.label, row.input, row.output, row.repeated, row.count]),
    [
      ["model.embed_tokens", "embedding", "int [...]", "[..., hidden]", 1, 16384],
      ["model.layers[0..35].input_layernorm", "rmsNorm", "[..., hidden]", "[..., hidden]", 36, 2304],
      [
        "model.layers[0..35].self_attn.q_proj",
        "linear",
        "[..., hidden]",
        "[..., heads, headDim]",
        36,
        147456,
      ],
      ["model.layers[0..35].self_attn.q_norm", "rmsNorm", "[..., headDim]", "[..., headDim]", 36, 576],
      ["model.layers[0..35]", "rope", "[..., headDim]", "[..., headDim]", 36, 0],
    ],
  );
  const head = rows.at(-1);
  assert.equal([head?.path, head?.count, head?.parameters[0]?.shared], ["lm_head", 0, true]);
  assert.equal(head?.parameters[0]?.shape, [256, 64]);
  const total = (all: typeof rows) => all.reduce((sum, row) => sum + row.count, 0);
  const unfolded = summary(model, { fold: false });
  assert.is(unfolded.length, 3 + 36 * 16);
  assert.is(total(unfolded), total(rows));
  assert.is(unfolded[19]?.path, "model.layers.1.self_attn.q_norm");
});

test.run();
