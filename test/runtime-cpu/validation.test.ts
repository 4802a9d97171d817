/** A plan edited by hand is refused with the place and the reason; nothing wrong reaches an executor. */
import { type Plan, planVersion } from "@weft/compiler";
import { cpuDevice } from "@weft/runtime-cpu";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { randomBuffers, weightsOf } from "./compare.ts";
import { access, Body, loop, PlanBuilder, slot, times } from "./plan-builder.ts";
import { qkvPlan } from "./plans.ts";

const test = suite("validation");
const shape = { dtype: "f32", hidden: 16, heads: 4, kvHeads: 2, headDim: 8, capacity: 20, chunk: 6 } as const;
const sound = qkvPlan(shape);
const weights = weightsOf(sound, randomBuffers(sound, 1));

/** The first epilogue: norm, rope and a store. After it, a kind of instruction picks the first of that kind. */
const rotation = "kernels.1.groups.0.epilogue.body";

interface Node {
  [key: string]: Node;
}

/** Sets the value at a path of a plan. */
function edit(plan: unknown, path: string, value: unknown): void {
  const keys = path.split(".");
  const last = keys.pop()!;
  const holder = keys.reduce<Node>((node, key) => {
    const found = Object.values(node).find((inner) => (inner.kind as unknown) === key);
    return Array.isArray(node) && found ? found : node[key]!;
  }, plan as Node);
  (holder as Record<string, unknown>)[last] = value;
}

/** The message with which an edited plan is refused. */
async function refusal(...edits: [path: string, value: unknown][]): Promise<string> {
  const plan: unknown = JSON.parse(JSON.stringify(sound));
  for (const [path, value] of edits) edit(plan, path, value);
  using device = cpuDevice({ threads: 1 });
  try {
    using _ = await device.load(plan as Plan, weights);
  } catch (error) {
    return (error as Error).message;
  }
  return "accepted";
}

const cases: [name: string, path: string, value: unknown, message: RegExp][] = [
  [
    "a missing field",
    "kernels.1.groups.0.columns",
    undefined,
    /plan\.kernels\[1\]\.groups\[0\]\.columns: must be an integer, got nothing/,
  ],
  [
    "a string for a number",
    "kernels.1.groups.0.columns",
    "x",
    /plan\.kernels\[1\]\.groups\[0\]\.columns: must be an integer, got "x"/,
  ],
  ["a fraction", "buffers.0.bytes", 1.5, /plan\.buffers\[0\]\.bytes: must be an integer, got 1\.5/],
  ["an unsafe integer", "buffers.0.bytes", 2 ** 60, /plan\.buffers\[0\]\.bytes: must be an integer/],
  ["an unknown kind", "kernels.0.kind", "loop", /plan\.kernels\[0\]\.kind: must be one of "rows", "matmul"/],
  ["an unknown word", "buffers.0.dtype", "f64", /plan\.buffers\[0\]\.dtype: must be one of "f32"/],
  ["no array", "buffers", {}, /plan\.buffers: must be an array, got an object/],
  ["an infinite scale", "kernels.2.scale", Number.POSITIVE_INFINITY, /scale: must be a finite number/],
  [
    "another version",
    "version",
    7,
    new RegExp(`plan\\.version: is 7, this runtime executes version ${planVersion}`),
  ],
  ["positions along no axis", "buffers.0.positions", 3, /positions: must be -1, or an axis of a state/],
  ["a sum of itself", "symbols.2.sum", [0, 2], /plan\.symbols\[2\]\.sum: contains itself/],
  ["a sum of nothing", "symbols.2.sum", [9], /names symbol 9 of 3/],
  ["two symbols of one name", "symbols.1.name", "past", /"past" is there twice/],
  [
    "a negative size",
    "buffers.0.shape.0",
    -4,
    /plan\.buffers\[0\] \(tokens\)\.shape: is negative or too large/,
  ],
  ["sizes that overflow", "buffers.0.shape", [2 ** 40, 2 ** 40], /is negative or too large/],
  ["too few bytes", "buffers.0.bytes", 8, /bytes: 8 is less than the shape's 24/],
  ["a crooked offset", "buffers.8.offset", 100, /offset: must be a multiple of 256, not 100/],
  ["an offset outside", "buffers.8.offset", 2 ** 20, /does not lie in its arena/],
  ["a small arena", "memory.state", 256, /does not lie in its arena of 256 bytes/],
  [
    "an unknown kernel",
    "programs.0.steps.0.kernel",
    17,
    /plan\.programs\[0\]\.steps\[0\]\.kernel: names kernel 17 of 4/,
  ],
  ["a missing binding", "programs.0.steps.0.bindings", [0], /bindings: are 1 for 3 slots/],
  ["an unknown buffer", "programs.0.steps.0.bindings.0", 99, /names buffer 99 of/],
  [
    "a buffer of another dtype",
    "programs.0.steps.0.bindings.0",
    1,
    /binds embed\.weight of f32 to a slot of i32/,
  ],
  [
    "a write to weights",
    "programs.0.steps.0.bindings.2",
    1,
    /writes to embed\.weight, which is of class weights/,
  ],
  ["a small buffer", "programs.0.steps.1.bindings.0", 2, /reaches element \d+ of norm\.weight, which has 16/],
  [
    "a forward register",
    "kernels.0.program.body.1.index",
    5,
    /reads register 5, which is not an earlier one/,
  ],
  [
    "a register of a store",
    "kernels.0.program.body.3",
    { kind: "unary", function: "neg", operand: 2 },
    /reads register 2, which a store leaves empty/,
  ],
  [
    "a random key along the row",
    `${rotation}.1`,
    { kind: "stochasticRound", operand: 0, keyLow: 0, keyHigh: 0, stream: 0, strides: [1, 1], rowStride: 1 },
    /its key and stream must be scalars/,
  ],
  [
    "places beyond counting",
    `${rotation}.1`,
    {
      kind: "stochasticRound",
      operand: 0,
      keyLow: 0,
      keyHigh: 0,
      stream: 0,
      strides: [1, 1],
      rowStride: 2 ** 52,
    },
    /lead to no place beyond 2\^53/,
  ],
  [
    "places without a loop",
    `${rotation}.1`,
    { kind: "stochasticRound", operand: 0, keyLow: 0, keyHigh: 0, stream: 0, strides: [1], rowStride: 1 },
    /strides: must have one for each loop/,
  ],
  ["different lengths", `${rotation}.slice.length`, 3, /operands have different lengths/],
  ["a slice too far", `${rotation}.slice.start`, 7, /ends after its operand/],
  ["a gather bound too large", "kernels.0.program.body.1.bound", 12, /reaches element 191 of embed\.weight/],
  ["a stride too long", `${rotation}.store.access.strides.0`, 64, /reaches element/],
  ["a stride back", `${rotation}.store.access.strides.0`, -32, /lies before the start of its buffer/],
  [
    "all rows to one place",
    `${rotation}.store.access.strides.1`,
    0,
    /writes all rows of loop 1 to one place/,
  ],
  ["a stride missing", "kernels.0.program.body.0.access.strides", [], /has 0 strides for 1 loops/],
  ["an unknown slot", "kernels.0.program.body.0.access.slot", 3, /names slot 3 of 3/],
  [
    "a store to a read slot",
    "kernels.0.program.body.2.access.slot",
    0,
    /writes slot 0, whose access is "read"/,
  ],
  [
    "columns that do not match",
    "kernels.1.groups.0.columns",
    33,
    /must be the epilogue's row times its column loops/,
  ],
  ["an accumulator too many", `${rotation}.accumulator.weight`, 1, /names no weight of the group/],
  [
    "a prologue that ends short",
    "kernels.3.prologue.body.0.length.constant",
    5,
    /must end with a register as long as the row/,
  ],
  [
    "other rows in an epilogue",
    "kernels.3.groups.0.epilogue.loops.0.extent",
    { constant: 6, terms: [] },
    /must begin with the kernel's rows/,
  ],
  ["heads that do not divide", "kernels.2.heads", 5, /heads: must be a multiple of kvHeads/],
  ["no heads", "kernels.2.kvHeads", 0, /kvHeads: must be 1 to 65536/],
  ["a negative head stride", "kernels.2.key.headStride", -8, /strides must not be negative/],
  ["keys never enough", "kernels.2.keys.constant", -1, /keys: (is negative|is always less)/],
  ["a cache that may overflow", "symbols.2.max", 40, /reaches element/],
  ["an input that is no input", "programs.0.inputs.0.buffer", 7, /must be of class input/],
  [
    "a port larger than its buffer",
    "programs.0.outputs.0.shape",
    [
      { constant: 7, terms: [] },
      { constant: 16, terms: [] },
    ],
    /exceeds its buffer's/,
  ],
  ["codes that are no weight", "buffers.8.dtype", "f8e4m3", /dtype: of f8e4m3 must be that of a weight/],
  ["a store of codes", "kernels.0.slots.2.dtype", "f8e4m3", /must not write f8e4m3/],
  [
    "a rounding to codes",
    `${rotation}.1`,
    { kind: "round", dtype: "f8e4m3", operand: 0 },
    /dtype: must not be nvfp4 or f8e4m3/,
  ],
  ["keys of codes", "kernels.2.slots.1.dtype", "f8e4m3", /key: must be of a float dtype/],
  ["two programs of one name", "programs.1", sound.programs[0], /"step" is there twice/],
];

for (const [name, path, value, message] of cases) {
  test(name, async () => {
    assert.match(await refusal([path, value]), message);
  });
}

test("several problems in one message", async () => {
  const text = await refusal(["buffers.0.bytes", 8], ["programs.0.steps.0.kernel", 17]);
  assert.match(text, /plan\.buffers\[0\] \(tokens\)\.bytes: 8/);
  assert.match(text, /plan\.programs\[0\]\.steps\[0\]\.kernel: names kernel 17/);
});

test("the last of no positions is refused when it is asked for, not before", async () => {
  const builder = new PlanBuilder();
  const seq = builder.symbol("seq", 4);
  const x = builder.buffer("x", "input", "f32", [4, 3]);
  const y = builder.buffer("y", "output", "f32", [3]);
  const last = new Body();
  last.store(access(1, [0]), last.load(access(0, [0], 1, times(seq, 3, -3)), 3), 3);
  const kernel = builder.kernel({
    kind: "rows",
    name: "last",
    slots: [slot("x", "f32", "read"), slot("y", "f32", "write")],
    program: last.program([loop("one", 1)], loop("column", 3)),
  });
  builder.program("main", [builder.step(kernel, x, y)], { x: [times(seq), { constant: 3, terms: [] }] });
  using device = cpuDevice({ threads: 1 });
  using executable = await device.load(builder.plan, {});
  const run = (count: number) =>
    executable.run("main", {
      symbols: { seq: count },
      inputs: { x: Float32Array.from({ length: 3 * count }, (_, i) => i) },
    });
  assert.equal([...(await run(3)).outputs.y!], [6, 7, 8]);
  await run(0).then(
    () => assert.unreachable(),
    (error: Error) => assert.match(error.message, /lies before the start of its buffer with seq = 0/),
  );
});

test.run();
