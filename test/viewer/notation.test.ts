/** Which characters of `->>` text are which block. */
import {
  type AnyBlock,
  add,
  axis,
  type Block,
  chain,
  id,
  leavesOf,
  linear,
  merge,
  named,
  normalize,
  parallel,
  pointwise,
  prettyBlock,
  repeat,
  residual,
  rmsNorm,
  silu,
  stage,
} from "@weft/dsl";
import { qwen3Model } from "@weft/qwen3";
import { type NotationSpan, notationOf } from "@weft/viewer";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../support/fast-check.ts";
import { threeLayers } from "../support/qwen3-config.ts";

const test = suite("view: notation");
const hidden = axis("hidden", 8);
type Endo = Block<["hidden"], ["hidden"]>;

test("every name of a model is found, with the layers that it stands for", () => {
  const { text, spans } = notationOf(qwen3Model(threeLayers));
  assert.is(text, prettyBlock(qwen3Model(threeLayers), 56));
  const found = (path: string, op?: string) => {
    const own = spans.filter((one) => one.path === path && one.op === op);
    return own.map(({ start, end, ranges }) => ({ text: text.slice(start, end), ranges }));
  };
  assert.equal(found("model.layers.*.mlp.gate_proj"), [{ text: "gate_proj", ranges: [[0, 3]] }]);
  assert.equal(found("lm_head"), [{ text: "lm_head", ranges: [] }]);
  assert.equal(found("model.layers.*", "attend"), [{ text: "attend", ranges: [[0, 3]] }]);
  assert.is(found("model.layers.*", "rope").length, 2);
  const [layers] = found("model.layers.*");
  assert.ok(layers!.text.startsWith("model.layers[0..2]: (") && layers!.text.endsWith(") x3"));
});

test("layers that differ have spans of their own", () => {
  const layer = (width: number) => linear("mix", hidden, axis("hidden", width));
  const block = repeat("layers", 4, (index) =>
    index < 2 ? (layer(8) as unknown as Endo) : (chain(layer(8), silu) as unknown as Endo),
  );
  const { spans } = notationOf(block);
  assert.equal(
    spans.filter((one) => one.path === "layers.*.mix").map(({ ranges }) => ranges),
    [[[0, 2]], [[2, 2]]],
  );
});

let counter = 0;
const fresh = (name: string) => `${name}_${counter++}`;
const softcap = pointwise("softcap", (x) => x.mul(2));
const otherSoftcap = pointwise("softcap", (x) => x.mul(3));

/** Random blocks from hidden to hidden. */
const { endo } = fc.letrec<{ endo: Endo }>((tie) => ({
  endo: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom(0, 1, 2, 3, 4).map((kind): Endo => {
      if (kind === 0) return rmsNorm(fresh("norm"), hidden, 1e-6);
      if (kind === 1) return chain(linear(fresh("mix"), hidden, hidden), silu);
      if (kind === 2) return chain(linear(fresh("mix"), hidden, hidden), softcap);
      // Leaves that read alike are printed with numbers.
      if (kind === 3) return chain(linear(fresh("mix"), hidden, hidden), softcap, otherSoftcap);
      return chain(linear(fresh("a.mix"), hidden, hidden), id);
    }),
    fc.tuple(tie("endo"), tie("endo")).map(([a, b]): Endo => chain(a, b)),
    fc.tuple(tie("endo"), tie("endo")).map(([a, b]): Endo => chain(parallel(a, b), merge(add))),
    tie("endo").map((a): Endo => residual(a)),
    tie("endo").map((a): Endo => named(fresh("part"), a)),
    tie("endo").map((a): Endo => stage("first", a)),
    fc.tuple(tie("endo"), tie("endo")).map(([a, b]): Endo => {
      const turns = [a, a, b];
      return repeat(fresh("layers"), 3, (index) => turns[index]!);
    }),
  ),
}));

const matches = ({ path, ranges }: NotationSpan, candidate: string): boolean => {
  const names = path.split(".");
  const given = candidate.split(".");
  let star = 0;
  return (
    names.length === given.length &&
    names.every((name, place) => {
      if (name !== "*") return name === given[place];
      const [first, count] = ranges[star++]!;
      return Number(given[place]) >= first && Number(given[place]) < first + count;
    })
  );
};

test("every leaf of any block has its characters, and spans are nested", () => {
  fc.assert(
    fc.property(endo, (block: Endo) => {
      const { text, spans } = notationOf(block);
      assert.is(text, prettyBlock(block, 56));
      for (const { path, leaf } of leavesOf(normalize(block) as AnyBlock)) {
        if (leaf.op === ("id" as string)) continue;
        const own = spans.filter((one) => matches(one, path) && (one.op === undefined || one.op === leaf.op));
        assert.ok(own.length > 0, `${leaf.op} at ${path} in ${text}`);
      }
      for (const a of spans)
        for (const b of spans) {
          const apart = a.end <= b.start || b.end <= a.start;
          const nested = (a.start <= b.start && b.end <= a.end) || (b.start <= a.start && a.end <= b.end);
          assert.ok(apart || nested);
        }
    }),
    { numRuns: 60 },
  );
});

test.run();
