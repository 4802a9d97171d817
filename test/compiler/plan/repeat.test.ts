// Equal layers are compiled once: the plan is the very one of the whole model, or there is none.
import {
  type Compiled,
  compile,
  compileRepeated,
  expandBlock,
  type ProgramInput,
  patternLayers,
} from "@weft/compiler";
import { axis, chain, linear, named, orThrow, repeat, residual, rmsNorm, silu } from "@weft/dsl";
import { adapterOf, adapterParameters, compileQwen3, type Qwen3CompileOptions } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { configOf, qwen3Of4B, type Shape, type threeLayers } from "../../support/qwen3-config.ts";

const test = suite("repeat layers");

const shape: Shape = {
  hidden: 64,
  layers: 3,
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  intermediate: 128,
  vocab: 320,
};
const usual: Qwen3CompileOptions = {
  capacity: 64,
  chunk: 32,
  policy: "bf16",
  storage: () => "bf16",
  logits: "last",
};

/** The plan compiled whole and the one from equal layers. */
function both(config: typeof threeLayers, options: Qwen3CompileOptions): [Compiled, Compiled] {
  const whole = orThrow(compileQwen3(config, { ...options, record: true }));
  return [whole, orThrow(compileQwen3(config, { ...options, record: false }))];
}

const ways: readonly (readonly [string, Partial<Qwen3CompileOptions>])[] = [
  ["bf16, last position", {}],
  ["f32", { policy: "f32", storage: () => "f32" }],
  ["bf16 weights, f32 activations", { policy: "f32" }],
  ["all positions", { logits: "all" }],
  ["decode only", { chunk: 1 }],
  ["unfused", { fusion: false }],
  ["an observed layer", { observe: ["model.layers.4"] }],
];

test("adapters in all layers, in the middle ones, in the last one, and in one of them", () => {
  const config = configOf({ ...shape, layers: 7 });
  for (const targets of [
    ["model.layers.*"],
    ["layers.0.mlp.*", "self_attn.o_proj", "layers.6.mlp.up_proj"],
    ["layers.6.*"],
    ["layers.3.*"],
  ]) {
    const adapter = adapterOf(config, { rank: 4, alpha: 8, targets });
    const [whole, repeated] = both(config, { ...usual, adapter });
    assert.is(repeated.plan.hash, whole.plan.hash, targets.join());
    const weights = whole.plan.buffers.filter((one) => one.class === "weights");
    const names = weights.flatMap(({ name }) => (name.includes(".lora_") ? [name] : []));
    assert.equal(
      names.sort(),
      adapterParameters(adapter)
        .map((one) => one.name)
        .sort(),
    );
  }
});

for (const [name, options] of ways) {
  for (const layers of [5, 6, 11]) {
    for (const tied of [true, false]) {
      test(`${name}, ${layers} layers, ${tied ? "tied" : "untied"} head: the plan of the whole model`, () => {
        const [whole, repeated] = both(configOf({ ...shape, layers, tied }), { ...usual, ...options });
        assert.is(repeated.plan.hash, whole.plan.hash);
        assert.equal(repeated.programs, whole.programs);
      });
    }
  }
}

test("Qwen3-4B: the plan of the whole model", () => {
  const [whole, repeated] = both(qwen3Of4B, { ...usual, capacity: 4096, chunk: 512 });
  assert.equal(repeated.plan, whole.plan);
});

test("layers stored differently are not repeated, wherever the odd one stands", () => {
  for (const odd of [0, 1, 3, 5]) {
    const options: Qwen3CompileOptions = {
      ...usual,
      storage: (name) => (name.startsWith(`model.layers.${odd}.mlp`) ? "f32" : "bf16"),
    };
    const [whole, repeated] = both(configOf({ ...shape, layers: 6 }), options);
    assert.is(repeated.plan.hash, whole.plan.hash);
    const wide = repeated.plan.buffers.filter((one) => one.class === "weights" && one.dtype === "f32");
    assert.ok(wide.length > 0);
    for (const one of wide) assert.match(one.name, new RegExp(`^model\\.layers\\.${odd}\\.mlp`));
  }
});

const hidden = axis("hidden", 32);
const wide = axis("wide", 48);

/** Layers of which every `period`-th has a norm in front. */
function stack(layers: number, period: number): ProgramInput[] {
  const block = repeat("body.layers", layers, (index) => {
    const mlp = chain(linear("up", hidden, wide), silu, linear("down", wide, hidden));
    return residual(index % period === 0 ? chain(rmsNorm("norm", hidden, 1e-6), mlp) : mlp);
  });
  const graph = expandBlock(block, { name: "stack", lead: [axis("rows", 4)] });
  return [{ name: "main", graph, passes: [] }];
}

test("any repeated block: the plan of the whole stack", () => {
  for (const layers of [patternLayers, patternLayers + 1, 12]) {
    const whole = orThrow(compile(stack(layers, 1), { name: "stack" }));
    const short = compileRepeated(
      stack(patternLayers, 1),
      { path: "body.layers", layers },
      { name: "stack" },
    );
    assert.is(orThrow(short)?.plan.hash, whole.plan.hash);
  }
});

test("a skip that goes over layers gives no plan", () => {
  // What the end adds is the output of the first layer; four layers could take it for that of the last but two.
  const skipping = (layers: number, from: number): ProgramInput[] => {
    const mlp = (index: number) =>
      named(
        `body.layers.${index}`,
        residual(
          chain(
            rmsNorm("norm", hidden, 1e-6),
            linear("up", hidden, wide),
            silu,
            linear("down", wide, hidden),
          ),
        ),
      );
    const run = (first: number, last: number) =>
      Array.from({ length: last - first }, (_, index) => mlp(first + index)).reduce((a, b) => chain(a, b));
    const graph = expandBlock(chain(run(0, from), residual(run(from, layers))), {
      name: "skip",
      lead: [axis("rows", 4)],
    });
    return [{ name: "main", graph, passes: [] }];
  };
  for (const from of [1, 2]) {
    const repeated = compileRepeated(
      skipping(patternLayers, from),
      { path: "body.layers", layers: 7 },
      { name: "skip" },
    );
    assert.is(orThrow(repeated), undefined);
  }
});

test("layers that are not equal give no plan", () => {
  const repeated = (programs: ProgramInput[], path = "body.layers", layers = 8) =>
    orThrow(compileRepeated(programs, { path, layers }, { name: "stack" }));
  assert.is(repeated(stack(patternLayers, 2)), undefined);
  assert.is(repeated(stack(patternLayers, 1), "other.layers"), undefined);
  assert.is(repeated(stack(patternLayers - 1, 1)), undefined);
  assert.is(repeated(stack(patternLayers, 1), "body.layers", patternLayers - 1), undefined);
  assert.ok(repeated(stack(patternLayers, 1)) !== undefined);
});

test.run();
