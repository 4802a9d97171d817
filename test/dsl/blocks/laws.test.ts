/** The laws of a category and of products, over random blocks. */
import {
  type AnyBlock,
  type Block,
  type BlockLike,
  blockCategory,
  blockEquals,
  chain,
  first,
  id,
  linear,
  maximum,
  merge,
  named,
  normalize,
  normalizeProducts,
  parallel,
  parametersOf,
  printBlock,
  repeat,
  residual,
  rmsNorm,
  second,
  silu,
  split,
  stage,
  tanh,
} from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../../support/fast-check.ts";
import { axes } from "./axes.ts";

const { hidden, intermediate } = axes;
type Endo = Block<["hidden"], ["hidden"]>;
const test = suite("blocks: laws");
const runs = { numRuns: 50 };

let counter = 0;
/** A name that no other block has, so that no two random leaves are one parameter. */
const fresh = (name: string) => `${name}_${counter++}`;

/** Random blocks from hidden to hidden. */
const { endo } = fc.letrec<{ endo: Endo }>((tie) => ({
  endo: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom(0, 1, 2, 3, 4).map((kind): Endo => {
      if (kind === 0) return id as BlockLike as Endo;
      if (kind === 1)
        return chain(linear(fresh("up"), hidden, intermediate), linear(fresh("down"), intermediate, hidden));
      if (kind === 2) return rmsNorm(fresh("norm"), hidden, 1e-6);
      return linear(fresh("mix"), hidden, hidden);
    }),
    fc.tuple(tie("endo"), tie("endo")).map(([a, b]): Endo => chain(a, b)),
    fc.tuple(tie("endo"), tie("endo")).map(([a, b]): Endo => chain(parallel(a, b), merge(maximum))),
    fc
      .tuple(tie("endo"), tie("endo"), tie("endo"))
      .map(([a, b, c]): Endo => chain(parallel(a, b), first(c), merge(maximum))),
    tie("endo").map((a): Endo => residual(chain(rmsNorm(fresh("norm"), hidden, 1e-6), a))),
    tie("endo").map((a): Endo => named(fresh("part"), a)),
    tie("endo").map((a): Endo => stage("label", a)),
    tie("endo").map((a): Endo => repeat(fresh("layers"), 2, () => a)),
    tie("endo").map((a): Endo => chain(a, silu, tanh)),
  ),
}));

function same(a: AnyBlock, b: AnyBlock): void {
  assert.is(printBlock(a), printBlock(b));
  assert.ok(blockEquals(normalize(a), normalize(b)), `${printBlock(a)}\n${printBlock(b)}`);
}

function sameUpToProducts(a: AnyBlock, b: AnyBlock): void {
  const [left, right] = [normalizeProducts(a), normalizeProducts(b)];
  assert.ok(blockEquals(left, right), `${printBlock(left)}\n${printBlock(right)}`);
}

test("category: identity on both sides", () => {
  fc.assert(
    fc.property(endo, (f) => {
      same(blockCategory.compose(f, blockCategory.id<["hidden"]>()), f);
      same(blockCategory.compose(blockCategory.id<["hidden"]>(), f), f);
      same(chain(id, f), f);
      same(chain(f, id), f);
    }),
    runs,
  );
});

test("category: composition is associative", () => {
  fc.assert(
    fc.property(endo, endo, endo, (f, g, h) => {
      const { compose } = blockCategory;
      same(compose(compose(h, g), f), compose(h, compose(g, f)));
      same(chain(chain(f, g), h), chain(f, g, h));
    }),
    runs,
  );
});

test("category: the text of a composition is the composition of texts", () => {
  // Short names depend on what else is printed, so names are made unique by their last segment here.
  fc.assert(
    fc.property(endo, endo, (f, g) => {
      const parts = [f, g].map(printBlock).filter((text) => text !== "id");
      assert.is(printBlock(blockCategory.compose(g, f)), parts.length === 0 ? "id" : parts.join(" ->> "));
    }),
    runs,
  );
});

test("first and second keep identity and composition", () => {
  sameUpToProducts(first(id), id);
  sameUpToProducts(second(id), id);
  fc.assert(
    fc.property(endo, endo, (f, g) => {
      sameUpToProducts(first(chain(f, g)), chain(first(f), first(g)));
      sameUpToProducts(second(chain(f, g)), chain(second(f), second(g)));
    }),
    runs,
  );
});

test("split is first and second in either order", () => {
  fc.assert(
    fc.property(endo, endo, endo, endo, (f, g, h, k) => {
      sameUpToProducts(split(f, g), chain(first(f), second(g)));
      sameUpToProducts(split(f, g), chain(second(g), first(f)));
      sameUpToProducts(chain(split(f, g), split(h, k)), split(chain(f, h), chain(g, k)));
    }),
    runs,
  );
});

test("parallel is a copy and a split", () => {
  fc.assert(
    fc.property(endo, endo, endo, endo, (f, g, h, k) => {
      sameUpToProducts(chain(parallel(id, id), split(f, g)), parallel(f, g));
      sameUpToProducts(chain(parallel(f, g), split(h, k)), parallel(chain(f, h), chain(g, k)));
    }),
    runs,
  );
});

test("normal forms are normal, and keep wires and parameters", () => {
  fc.assert(
    fc.property(endo, (f) => {
      for (const form of [normalize, normalizeProducts]) {
        const normal = form(f);
        assert.ok(blockEquals(form(normal), normal));
        const names = (block: AnyBlock) => {
          const found = parametersOf(block);
          // Products say nothing about which side runs first, so the order may change.
          return found._tag === "Left" ? found.left : found.right.map((one) => one.name).sort();
        };
        assert.equal(names(normal), names(f));
        if (normal.expression.tag !== "id") assert.equal([normal.input, normal.output], [f.input, f.output]);
      }
    }),
    runs,
  );
});

test.run();
