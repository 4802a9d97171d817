/** What the types cost: instantiations are counted, not timed, so the test does not depend on the machine. */
import { readFileSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { folderOf } from "./compile.ts";

const yardstick = readFileSync(new URL("../blocks/yardstick.ts", import.meta.url), "utf8");

/** The same imports and no block, so that the difference is the block's own. */
const imports = `${yardstick.slice(0, yardstick.indexOf("export const qwen3Block"))}
export const used = { attend, chain, linear, merge, mul, parallel, residual, rmsNorm, rope, silu };
`;

function instantiations(program: string): number {
  const folder = folderOf(new Map([["program", program]]));
  try {
    const { errors, instantiations } = folder.compile();
    assert.equal([...errors.values()].flat(), []);
    return instantiations;
  } finally {
    folder.remove();
  }
}

const test = suite("types: budget");

test("the Qwen3 block stays within its instantiations", () => {
  const block = instantiations(yardstick) - instantiations(imports);
  // Measured 3295 with TypeScript 7.0.2.
  assert.ok(block > 100, `measured nothing: ${block}`);
  assert.ok(block <= 3950, `${block} instantiations`);
});

/** The leaves of a layer by the names that it is written with, and the layer. */
const written = `import { attend, axis, linear, mul, rmsNorm, rope, silu, wire } from "@weft/dsl";
const [hidden, wide] = [axis("hidden", 64), axis("wide", 128)];
const [heads, kvHeads, headDim] = [axis("heads", 4), axis("kvHeads", 2), axis("headDim", 16)];
export const parts = {
  input_layernorm: rmsNorm("input_layernorm", hidden, 1e-6),
  q_proj: linear("self_attn.q_proj", hidden, [heads, headDim]),
  k_proj: linear("self_attn.k_proj", hidden, [kvHeads, headDim]),
  v_proj: linear("self_attn.v_proj", hidden, [kvHeads, headDim]),
  q_norm: rmsNorm("self_attn.q_norm", headDim, 1e-6),
  k_norm: rmsNorm("self_attn.k_norm", headDim, 1e-6),
  rope: rope(headDim, 1e6),
  attend: attend({ heads, kvHeads, headDim, causal: true }),
  o_proj: linear("self_attn.o_proj", [heads, headDim], hidden),
  post_attention_layernorm: rmsNorm("post_attention_layernorm", hidden, 1e-6),
  gate_proj: linear("mlp.gate_proj", hidden, wide),
  up_proj: linear("mlp.up_proj", hidden, wide),
  down_proj: linear("mlp.down_proj", wide, hidden),
  silu,
  mul,
};
export const used = wire;
`;
const layer =
  "residual(input_layernorm ->> (q_proj ->> q_norm ->> rope | k_proj ->> k_norm ->> rope | v_proj) ->> attend ->> o_proj)" +
  " ->> residual(post_attention_layernorm ->> (gate_proj ->> silu | up_proj) ->> mul ->> down_proj)";

test("36 layers in notation stay within their instantiations: as x36, and each written out", () => {
  const wired = (text: string) => `${written}export const model = wire("${text}", parts);\n`;
  const nothing = instantiations(written);
  const folded = instantiations(wired(`model.layers[0..35]: (${layer}) x36`)) - nothing;
  // Measured 7003 with TypeScript 7.0.2.
  assert.ok(folded > 1000, `measured nothing: ${folded}`);
  assert.ok(folded <= 8400, `${folded} instantiations of x36`);
  const each = Array.from({ length: 36 }, (_, at) => `layers.${at}: (${layer})`).join(" ->> ");
  const long = instantiations(wired(each)) - nothing;
  // Measured 146114: every text that is left to be read is a type of its own, so nothing of one layer serves the next.
  assert.ok(long > folded, `measured nothing: ${long}`);
  assert.ok(long <= 175_000, `${long} instantiations of 36 layers`);
});

test.run();
