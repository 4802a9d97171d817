// Why two kernels are not one: each value between them has a reason, and the reasons are those of fusion.
import {
  type Boundary,
  boundariesOf,
  type Compiled,
  compile,
  describeBoundaries,
  expandBlock,
  explain,
  type PlanProgram,
  placed,
  type StepGrowth,
  stepGrowths,
} from "@weft/compiler";
import { compileBlock } from "@weft/compiler/testing";
import {
  type AnyBlock,
  axis,
  chain,
  type Graph,
  linear,
  merge,
  mul,
  orThrow,
  parallel,
  residual,
  rmsNorm,
  silu,
  softmax,
} from "@weft/dsl";
import { compileQwen3 } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../../support/fast-check.ts";
import { everyKind, kindsWithBlocks } from "../../support/graph-instructions.ts";
import { threeLayers } from "../../support/qwen3-config.ts";
import { randomGraph } from "../../support/random-graph.ts";

const test = suite("boundaries of kernels");

const hidden = axis("hidden", 64);
const wide = axis("wide", 256);
const seq = axis("seq", { symbol: "seq", max: 16 });

/** Each boundary in a line: who gives the value, who reads it, and why. */
function linesOf(compiled: Compiled, program = 0): string[] {
  const { fused } = compiled.compiled[program]!;
  const name = (id: number) => {
    const { op, origin } = fused.graph.nodes[id]!;
    return placed({ op, path: origin.path });
  };
  return boundariesOf(fused).map(
    ({ producer, reader, reasons }) =>
      `${name(producer)} > ${name(reader)} | ${reasons.map(({ rule, reason }) => `${rule}: ${reason}`).join(" | ")}`,
  );
}

const compiledBlock = (block: AnyBlock) => compileBlock(block, { lead: [seq] });

test("a product that reads a product, and what is added behind it", () => {
  const mlp = chain(linear("up", hidden, wide), linear("down", wide, hidden));
  assert.equal(linesOf(compiledBlock(mlp)), [
    "dot of up > dot of down | matmul template: dot: whole rows of the input must be there before the product begins",
  ]);
});

test("bytes decide: what would be stored for its reader only is computed there", () => {
  const block = chain(
    residual(linear("first", hidden, hidden)),
    parallel(rmsNorm("norm", hidden, 1e-6), linear("second", hidden, hidden)),
    merge(mul),
  );
  const lines = linesOf(compiledBlock(block));
  const reason = "its value would take 4096 B to store, what it is computed from is stored anyway";
  assert.ok(
    lines.some((line) => line.includes(`matmul epilogue: mul: ${reason}`)),
    lines.join("\n"),
  );
});

test("a value that others need is no prologue, and rows of all columns are no epilogue", () => {
  const block = chain(
    linear("first", hidden, hidden),
    residual(
      chain(rmsNorm("norm", hidden, 1e-6), linear("gate", hidden, wide), silu, linear("down", wide, hidden)),
    ),
    softmax(hidden),
  );
  const compiled = compiledBlock(block);
  const refusals = compiled.compiled[0]!.fused.refusals.map(
    ({ rule, path, reason }) => `${rule} ${path}: ${reason}`,
  );
  // The sum of squares needs the whole row, so the norm is the prologue of the next product.
  assert.ok(refusals.includes("matmul epilogue norm: reduceSum: a row of all columns is never in one place"));
  const lines = linesOf(compiled);
  assert.ok(lines.every((line) => !line.endsWith("| ")));
  assert.ok(
    lines.some((line) => line.startsWith("dot of first > mul of norm | ")),
    lines.join("\n"),
  );
});

test("without fusion every boundary is for that reason", () => {
  const graph = expandBlock(chain(linear("up", hidden, wide), silu), { name: "plain", lead: [seq] });
  const compiled = orThrow(compile([{ name: "main", graph, passes: [] }], { name: "plain", fusion: false }));
  const lines = linesOf(compiled);
  assert.ok(lines.length > 1);
  for (const line of lines)
    assert.match(line, "| fusion: switched off: every operation is a kernel of its own");
});

const qwen3 = orThrow(
  compileQwen3(threeLayers, {
    capacity: 64,
    chunk: 32,
    policy: "bf16",
    storage: () => "bf16",
    logits: "last",
  }),
);

test("a layer of Qwen3: why each of its five kernels ends where it does", () => {
  const { programs } = explain(qwen3, "model.layers.1")!;
  const decode = programs.find(({ program }) => program === "decode")!;
  const told = decode.steps.map(({ kernel, begins, boundaries }) => [
    kernel.replace(/_\d+$/, ""),
    placed(begins),
    ...describeBoundaries(boundaries.filter(({ side }) => side === "from"))
      .filter((line) => line.startsWith("  "))
      .map((line) => line.trim().replace("not one kernel: ", "")),
  ]);
  const rope = "matmul epilogue: mul: takes in what follows its product, and reads the rest";
  const norm = [
    "matmul epilogue: mul: the kernel would wait for itself",
    "matmul epilogue: mul: its value would take 256 B to store, what it is computed from is stored anyway",
  ];
  const waits = "matmul epilogue: add: the kernel would wait for itself";
  const state = "state: what a state holds is read from its memory";
  const heads = "attention kernel: queries, keys and values are read from memory, block by block";
  const qkv = "rms_norm_matmul_rms_norm_rope_matmul_rms_norm_matmul";
  assert.equal(told, [
    [qkv, "dot of model.layers.1.self_attn.q_proj", ...norm, rope, rope],
    ["attend", "attend of model.layers.1", heads, state, heads, state, heads],
    [
      "matmul_add",
      "dot of model.layers.1.self_attn.o_proj",
      "attention kernel: the kernel of attention takes in nothing that follows",
      waits,
    ],
    ["rms_norm_matmul_silu_matmul_mul", "dot of model.layers.1.mlp.gate_proj", ...norm],
    [
      "matmul_add",
      "dot of model.layers.1.mlp.down_proj",
      "matmul template: dot: whole rows of the input must be there before the product begins",
      waits,
    ],
  ]);
});

test("steps that read one value for the same reasons share their lines", () => {
  const { programs } = explain(qwen3, "model.layers.0")!;
  const rope = programs.find(({ program }) => program === "decode")!.steps[0]!;
  const lines = describeBoundaries(rope.boundaries);
  assert.is(rope.boundaries.length, 2 * threeLayers.layers);
  assert.is(lines.length, 2 * 2);
  assert.match(
    lines[0]!,
    /^to step 2 \(\w+\), 7 \(\w+\), 12 \(\w+\): cos of model\.layers\.0, f32\[seq=1, headDim=8\], 32 B; /,
  );
});

/** Which step wrote what another one reads, from the plan alone. */
function readsOfOthers(
  { plan }: Compiled,
  program: PlanProgram,
): (readonly [writer: number, reader: number])[] {
  const writer = new Map<number, number>();
  const reads: (readonly [number, number])[] = [];
  program.steps.forEach((step, index) => {
    const { slots } = plan.kernels[step.kernel]!;
    slots.forEach(({ access }, slot) => {
      const from = writer.get(step.bindings[slot]!);
      if (access !== "write" && from !== undefined) reads.push([from, index]);
    });
    slots.forEach(({ access }, slot) => {
      if (access !== "read") writer.set(step.bindings[slot]!, index);
    });
  });
  return reads;
}

/** Every value that one step of the plan writes and another one reads is explained on both sides, with both ends named. */
function checkPlan(compiled: Compiled): void {
  compiled.plan.programs.forEach((program, index) => {
    const { fused } = compiled.compiled[index]!;
    const groups = compiled.groups[index]!;
    const names = program.steps.map(({ kernel }) => compiled.plan.kernels[kernel]!.name);
    const growths = stepGrowths(fused, groups, names);
    const tells = ({ boundaries }: StepGrowth, side: "from" | "to", other: number) =>
      boundaries.some(
        (one) =>
          one.side === side &&
          // Parts of a copy are several steps of one group.
          (one.step === other || groups[one.step] === groups[other]) &&
          one.kernel === names[one.step] &&
          one.value.op !== "" &&
          one.readers.length > 0 &&
          one.reasons.length > 0,
      );
    for (const [from, to] of readsOfOthers(compiled, program)) {
      if (groups[from] === groups[to]) continue;
      assert.ok(tells(growths[to]!, "from", from), `${names[to]} reads of ${names[from]}`);
      assert.ok(tells(growths[from]!, "to", to), `${names[from]} gives to ${names[to]}`);
    }
    for (const one of boundariesOf(fused)) checkBoundary(fused.graph, one);
  });
}

function checkBoundary(graph: Graph, { from, to, producer, reader, reasons }: Boundary): void {
  assert.is.not(from, to);
  assert.ok(producer < graph.nodes.length && reader < graph.nodes.length);
  assert.ok(reasons.length > 0 && reasons.every(({ rule, reason }) => rule !== "" && reason !== ""));
}

test("every value between two steps of a model is explained", () => checkPlan(qwen3));

for (const kinds of [everyKind, kindsWithBlocks]) {
  for (const fusion of [true, false]) {
    const inBlocks = kinds === kindsWithBlocks ? ", in NVFP4" : "";
    test(`every value between two steps of a random graph is explained${fusion ? "" : ", unfused"}${inBlocks}`, () => {
      fc.assert(
        fc.property(randomGraph({ kinds }), (graph) => {
          const compiled = compile([{ name: "main", graph, passes: [] }], { name: "random", fusion });
          // What cannot be a plan has nothing to explain.
          if (compiled._tag === "Right") checkPlan(compiled.right);
        }),
        { numRuns: 200 },
      );
    });
  }
}

test.run();
