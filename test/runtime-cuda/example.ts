/** A plan by hand and its launches: rows scaled by a weight, appended to a state, and added to the oldest row there. */
import {
  type Affine,
  type CudaLaunch,
  type CudaPlan,
  cudaVersion,
  hashPlan,
  type Plan,
} from "@weft/compiler";
import type { Weight } from "@weft/runtime";
import type { PreparedCuda } from "@weft/runtime-cuda";
import { access, affine, Body, loop, PlanBuilder, slot, times } from "../runtime-cpu/plan-builder.ts";

export const hidden = 8;
export const capacity = 6;
export const chunk = 4;

/** Programs `chunk` (any number of rows) and `step` (one row: the same launches whatever the symbols). */
export function examplePlan(): Plan {
  const builder = new PlanBuilder("example");
  const past = builder.symbol("past", capacity - 1);
  const seq = builder.symbol("seq", chunk);
  builder.symbol("total", capacity, [past, seq]);
  const x = builder.buffer("x", "input", "f32", [chunk, hidden]);
  const weight = builder.buffer("scale.weight", "weights", "bf16", [hidden]);
  const cache = builder.buffer("cache", "state", "f32", [capacity, hidden], 0);
  const t = builder.buffer("t", "activations", "f32", [chunk, hidden]);
  const y = builder.buffer("y", "output", "f32", [chunk, hidden]);
  const kernels = (name: string, rows: Affine) => {
    const loops = [loop("rows", rows)];
    const scale = new Body();
    scale.store(
      access(2, [hidden]),
      scale.binary("mul", scale.load(access(0, [hidden]), hidden), scale.load(access(1, [0]), hidden)),
      hidden,
    );
    const append = new Body();
    append.store(
      access(1, [hidden], 1, times(past, hidden)),
      append.load(access(0, [hidden]), hidden),
      hidden,
    );
    const add = new Body();
    add.store(
      access(2, [hidden]),
      add.binary("add", add.load(access(0, [hidden]), hidden), add.load(access(1, [0]), hidden)),
      hidden,
    );
    const kernel = (part: string, body: Body, ...slots: ReturnType<typeof slot>[]) =>
      builder.kernel({
        kind: "rows",
        name: `${part}_${name}`,
        slots,
        program: body.program(loops, loop("hidden", hidden)),
      });
    return [
      builder.step(
        kernel(
          "scale",
          scale,
          slot("x", "f32", "read"),
          slot("w", "bf16", "read"),
          slot("t", "f32", "write"),
        ),
        x,
        weight,
        t,
      ),
      builder.step(
        kernel("append", append, slot("t", "f32", "read"), slot("cache", "f32", "update")),
        t,
        cache,
      ),
      builder.step(
        kernel("add", add, slot("t", "f32", "read"), slot("cache", "f32", "read"), slot("y", "f32", "write")),
        t,
        cache,
        y,
      ),
    ];
  };
  const many = kernels("chunk", times(seq));
  const one = kernels("step", affine(1));
  builder.program("chunk", many, { x: [times(seq), hidden], y: [times(seq), hidden] });
  builder.program("step", one, { x: [1, hidden], y: [1, hidden] });
  builder.plan.hash = hashPlan(builder.plan);
  return builder.plan;
}

/** Kernels by hand. Each virtual block is a row. Slots are named from the plan's: scale, append, add. */
export const exampleText = `#include "device.cuh"

DEVICE i32 symbol(const Slot& symbols, i32 index) { return load(global<i32>(symbols), index); }

#define ROWS_OF_chunk symbol(args.symbols, 1)
#define ROWS_OF_step 1

#define PROGRAM(name)                                                                         \\
  DEVICE i64 scale_##name##_blocks(const Args<3>& args) { return ROWS_OF_##name; } \\
  DEVICE void scale_##name##_body(const Args<3>& args, i64 block) {                \\
    const i32 column = thread_index();                                                        \\
    if (column >= ${hidden}) return;                                                          \\
    const float weight = float_of(static_cast<u32>(load(global<bf16>(args.slot[1]), column).bits) << 16); \\
    const float value = load(global<float>(args.slot[0]), block * ${hidden} + column);        \\
    store(global<float>(args.slot[2]), block * ${hidden} + column, value * weight);           \\
  }                                                                                           \\
  WEFT_KERNEL(scale_##name, 32, 1, 3)                                                            \\
  DEVICE i64 append_##name##_blocks(const Args<2>& args) { return ROWS_OF_##name; } \\
  DEVICE void append_##name##_body(const Args<2>& args, i64 block) {               \\
    const i32 column = thread_index();                                                        \\
    if (column >= ${hidden}) return;                                                          \\
    const float value = load(global<float>(args.slot[0]), block * ${hidden} + column);        \\
    store(global<float>(args.slot[1]), (symbol(args.symbols, 0) + block) * ${hidden} + column, value); \\
  }                                                                                           \\
  WEFT_KERNEL(append_##name, 32, 1, 2)                                                           \\
  DEVICE i64 add_##name##_blocks(const Args<3>& args) { return ROWS_OF_##name; }   \\
  DEVICE void add_##name##_body(const Args<3>& args, i64 block) {                  \\
    const i32 column = thread_index();                                                        \\
    if (column >= ${hidden}) return;                                                          \\
    const float value = load(global<float>(args.slot[0]), block * ${hidden} + column);        \\
    const float oldest = load(global<float>(args.slot[1]), column);                           \\
    store(global<float>(args.slot[2]), block * ${hidden} + column, value + oldest);           \\
  }                                                                                           \\
  WEFT_KERNEL(add_##name, 32, 1, 3)

PROGRAM(chunk)
PROGRAM(step)
`;

/** One launch for each step; the sums share their work out over all multiprocessors. */
export function exampleCuda(plan: Plan): CudaPlan {
  const functions = plan.kernels.map((kernel) => ({
    name: kernel.name,
    module: 0,
    threads: 32,
    sharedBytes: kernel.name.startsWith("scale") ? 1024 : 0,
    slots: kernel.slots.length,
  }));
  return {
    version: cudaVersion,
    plan: plan.hash,
    modules: [{ name: "example", source: exampleText }],
    functions,
    programs: plan.programs.map(({ name, steps }) => ({
      name,
      launches: steps.map(
        ({ kernel, bindings }, step): CudaLaunch => ({
          function: kernel,
          step,
          piece: 0,
          bindings: [...bindings],
          blocks: [
            { extent: name === "chunk" ? times(1) : affine(1), tile: 1 },
            { extent: affine(hidden), tile: hidden },
          ],
          perMultiprocessor: functions[kernel]!.name.startsWith("add") ? 2 : 0,
        }),
      ),
      librarySteps: [],
    })),
    scratchBytes: 1000,
    libraryScratchBytes: 0,
    tickets: 3,
  };
}

export const exampleScale = new Float32Array([1, 2, -1, 0.5, 4, -2, 8, 0.25]);

/** Stored as f32: converted to the plan's bf16 on the way. */
export const exampleWeights: Record<string, Weight> = {
  "scale.weight": { kind: "data", data: exampleScale, dtype: "f32", shape: [hidden] },
};

/** Images of some bytes: enough for who does not execute them. */
export const prepareExample = async (plan: Plan): Promise<PreparedCuda> => ({
  cudaPlan: exampleCuda(plan),
  images: [new Uint8Array([1, 2, 3, 4])],
});
