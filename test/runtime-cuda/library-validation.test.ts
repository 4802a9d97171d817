/** Steps by a library that do not fit their plan: each refused by name, none a crash. */
import type { CudaLibraryStep, CudaPlan } from "@weft/compiler";
import { recordingDevice } from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { addon } from "../../packages/runtime-cuda/src/addon.ts";
import { randomBuffers, randomSource, weightsOf } from "../runtime-cpu/compare.ts";
import { leaves, mutate, valueAt } from "../support/damage.ts";
import { gatedPlan, hidden } from "../support/library-graphs.ts";

const test = suite("cuda library steps");
const { plan, cuda: original } = gatedPlan(128);
const weights = weightsOf(plan, randomBuffers(plan, 3));
const images = [new Uint8Array(4)];

const open = (cudaPlan: CudaPlan) =>
  recordingDevice({
    prepare: async () => ({ cudaPlan, images }),
    matmulLibrary: "auto",
    memoryLimitBytes: 2 ** 28,
  });

test("CUDA plans with products go to C++ and back unchanged", () => {
  assert.equal(addon().echoCudaPlan(original), JSON.parse(JSON.stringify(original)));
});

const cases: [string, (steps: CudaLibraryStep[], cuda: CudaPlan) => unknown, RegExp][] = [
  ["no such step", ([one]) => (one!.step = 2), /librarySteps\[0\]\.step: names step 2 of 2/],
  ["order", (steps) => steps.reverse(), /librarySteps\[1\]\.step: does not follow the one in front/],
  ["no rows", ([one]) => (one!.leastRows = 0), /leastRows: must be at least 1/],
  ["too many rows", ([one]) => (one!.rows[0]!.constant = 2 ** 32), /rows: can pass 2\^31/],
  ["no products", ([one]) => (one!.products = []), /products: must be 1 to 64/],
  [
    "another step's launch",
    ([one]) => (one!.before[0]!.step = 1),
    /librarySteps\[0\]\.before\[0\]\.step: must be 0/,
  ],
  ["no function", ([one]) => (one!.after[0]!.function = 99), /after\[0\]\.function: names function 99 of/],
  ["no columns", ([one]) => (one!.products[0]!.columns = 0), /must have 1 to 2\^31 columns/],
  ["x of f32", ([one]) => (one!.products[0]!.x.dtype = "f32"), /must be of bf16 matrices/],
  ["output of f16", ([one]) => (one!.products[0]!.out.dtype = "f16"), /out\.dtype: must be f32 or bf16/],
  ["no buffer", ([one]) => (one!.products[0]!.weight.buffer = -2), /weight\.buffer: is buffer -2/],
  [
    "a weight past the end of scratch",
    ([one]) => Object.assign(one!.products[0]!.weight, { buffer: -1, offset: 2 ** 30 }),
    /weight: goes past the \d+ bytes of scratch/,
  ],
  [
    "another step's buffer",
    ([one]) => (one!.products[0]!.weight.buffer = 3),
    /weight\.buffer: is buffer 3, which the step does not use/,
  ],
  [
    "another dtype",
    ([, two]) => (two!.products[0]!.addends[0]!.dtype = "bf16"),
    /addends\[0\]\.dtype: must be that of the output/,
  ],
  [
    "more rows than the buffer has",
    ([, two]) => (two!.rows[0]!.constant = 129),
    /products\[0\]\.x: goes past the end of the buffer/,
  ],
  [
    "more columns than the weight has",
    ([one]) => Object.assign(one!.products[0]!, { columns: 32 }),
    /weight: goes past the end of the buffer gate\.weight/,
  ],
  [
    "an output that is an input",
    ([, two]) => (two!.products[0]!.out.buffer = two!.products[0]!.addends[0]!.buffer),
    /out\.buffer: names input, which the step only reads/,
  ],
  [
    "rows that overlap",
    ([, two]) => (two!.products[0]!.out.stride = 8),
    /out\.stride: must be at least the row's 16 elements/,
  ],
  [
    "not aligned",
    ([one]) => (one!.products[0]!.x.offset = 4),
    /x\.offset: must be 0 to 2\^46 and a multiple/,
  ],
  [
    "less scratch",
    (_, cuda) => (cuda.libraryScratchBytes -= 256),
    /products\[1\]\.out: goes past the \d+ bytes of scratch/,
  ],
  [
    "two addends",
    ([, two]) => two!.products[0]!.addends.push({ ...two!.products[0]!.addends[0]! }),
    /addends: must be one or none/,
  ],
];
for (const [name, change, pattern] of cases)
  test(name, async () => {
    const cuda = structuredClone(original);
    change(cuda.programs[0]!.librarySteps, cuda);
    using device = await open(cuda);
    const error = await device.load(plan, weights).catch((one: Error) => one);
    assert.match(String(error), pattern);
  });

test("damaged at random: each loads and runs, or is an error", async () => {
  const random = randomSource(Number(process.env.WEFT_FUZZ_SEED ?? 5));
  const inside = leaves(original).filter((path) => path.includes("librarySteps"));
  const numbers = inside.filter((path) => typeof valueAt(original, path) === "number");
  const counts = { ran: 0, refused: 0 };
  for (let i = 0; i < Number(process.env.WEFT_FUZZ_CASES ?? 400); i++) {
    const cudaPlan = structuredClone(original);
    for (let changes = random() < 0.7 ? 1 : 3; changes > 0; changes--)
      mutate(cudaPlan, random() < 0.8 ? numbers : inside, random);
    using device = await open(cudaPlan);
    try {
      using executable = await device.load(plan, weights);
      const input = new Float32Array(128 * hidden);
      for (let run = 0; run < 2; run++) await executable.run("main", { symbols: {}, inputs: { input } });
      // The recorder refuses what lies outside of all allocations.
      counts.ran++;
    } catch (error) {
      assert.instance(error, Error);
      assert.not.match(String(error), /multiply must succeed/, JSON.stringify(cudaPlan.programs));
      counts.refused++;
    }
  }
  assert.ok(counts.ran > 0 && counts.refused > 0, JSON.stringify(counts));
});

test.run();
