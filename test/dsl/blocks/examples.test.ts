/** Every `@example` of the blocks and the notation compiles and runs. */
import { readdirSync, readFileSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { folderOf } from "../types/compile.ts";

const sources = ["../../../packages/dsl/src/blocks/", "../../../packages/dsl/src/notation/"].flatMap(
  (folder) => {
    const url = new URL(folder, import.meta.url);
    return readdirSync(url).map((name) => ({ name, text: readFileSync(new URL(name, url), "utf8") }));
  },
);

/** What examples may take as given: the axes of a small model, and a few blocks. */
const prelude = `
import * as dsl from "@weft/dsl";
import { pipe } from "fp-ts/lib/function.js";
import { map } from "fp-ts/lib/Either.js";
const { add, apply, attend, axis, blockCategory, cast, chain, embedding, first, id, input, largest, leavesOf, linear } = dsl;
const { crossEntropy, mean, meanAbsoluteError, meanCrossEntropy, meanSquaredError, merge, mul, named, normalize, parallel, parametersOf, pointwise, prettyBlock, printBlock, programOf } = dsl;
const { repeat, residual, rmsNorm, rope, second, select, silu, softmax, split, stage, sum, summary, tanh, topK, tuple, vocabularyOf, wire } = dsl;
const seq = axis("seq", { symbol: "seq", max: 8 });
const hidden = axis("hidden", 64);
const intermediate = axis("intermediate", 128);
const heads = axis("heads", 4);
const kvHeads = axis("kvHeads", 2);
const headDim = axis("headDim", 16);
const vocab = axis("vocab", 256);
const theta = 1e6;
const config = { layers: 2 };
const a = rmsNorm("a", hidden, 1e-6);
const b = rmsNorm("b", hidden, 1e-6);
const norm = rmsNorm("norm", hidden, 1e-6);
const q = linear("q", hidden, [heads, headDim]);
const k = linear("k", hidden, [kvHeads, headDim]);
const v = linear("v", hidden, [kvHeads, headDim]);
const gate = linear("gate", hidden, intermediate);
const up = linear("up", hidden, intermediate);
const down = linear("down", intermediate, hidden);
const mlp = chain(parallel(chain(gate, silu), up), merge(mul), down);
const attention = chain(parallel(q, k, v), merge(attend({ heads, kvHeads, headDim, causal: true })), linear("o", [heads, headDim], hidden));
const qwen3Block = (_: unknown) => chain(residual(attention), residual(mlp));
const embed = embedding("embed", vocab, hidden);
const layers = repeat("layers", 2, () => qwen3Block(config));
const score = merge(mul);
const model = chain(embed, layers, linear("lm_head", hidden, vocab));
const logits = model;
`;

const programs = new Map<string, string>();
for (const { name, text } of sources) {
  for (const [index, found] of [...text.matchAll(/@example (.*)/g)].entries()) {
    const code = found[1]!.replace(/\s*\*\/$/, "");
    programs.set(
      `${name.replace(".ts", "")}-${index + 1}`,
      `${prelude}export default () => {\n${code}\n};\n`,
    );
  }
}

const test = suite("blocks: examples");
const folder = folderOf(programs);
test.after(() => folder.remove());

test("all compile", () => {
  assert.ok(programs.size >= 25, `${programs.size} found`);
  assert.equal(
    [...folder.compile().errors].filter(([, messages]) => messages.length > 0),
    [],
  );
});

for (const name of programs.keys()) {
  test(`${name} runs`, async () => {
    const log = console.log;
    console.log = () => {};
    try {
      (await folder.load(name)).default();
    } finally {
      console.log = log;
    }
  });
}

test.run();
