/** CUDA plans that do not fit their plan: each refused by name, none a crash. WEFT_FUZZ_CASES sets how many at random. */
import type { CudaPlan } from "@weft/compiler";
import { recordingDevice } from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { addon } from "../../packages/runtime-cuda/src/addon.ts";
import { randomSource } from "../runtime-cpu/compare.ts";
import { times } from "../runtime-cpu/plan-builder.ts";
import { leaves, mutate, valueAt } from "../support/damage.ts";
import { exampleCuda, examplePlan, exampleWeights, hidden } from "./example.ts";

const test = suite("cuda validation");
const plan = examplePlan();
const image = new Uint8Array(4);

async function refusal(cudaPlan: CudaPlan, images: readonly Uint8Array[] = [image]): Promise<string> {
  using device = await recordingDevice({ prepare: async () => ({ cudaPlan, images }) });
  return device.load(plan, exampleWeights).then(
    (executable) => {
      executable[Symbol.dispose]();
      return "no error";
    },
    (error: Error) => error.message,
  );
}

test("CUDA plans go to C++ and back unchanged", () => {
  const cuda = exampleCuda(plan);
  assert.equal(addon().echoCudaPlan(cuda), JSON.parse(JSON.stringify(cuda)));
});

const launch = (cuda: CudaPlan, index = 0) => cuda.programs[0]!.launches[index]!;
const cases: [string, (cuda: CudaPlan) => void, RegExp][] = [
  ["another version", (c) => (c.version = 1), /cudaPlan\.version: is 1, this runtime executes version 5/],
  ["another plan", (c) => (c.plan = "abc"), /cudaPlan\.plan: belongs to the plan abc/],
  [
    "no module",
    (c) => (c.functions[1]!.module = 1),
    /functions\[1\] \(append_chunk\)\.module: names module 1 of 1/,
  ],
  ["threads", (c) => (c.functions[0]!.threads = 48), /threads: must be a multiple of 32 up to 1024, not 48/],
  ["too many threads", (c) => (c.functions[0]!.threads = 2048), /threads: must be/],
  ["shared memory", (c) => (c.functions[0]!.sharedBytes = -1), /sharedBytes: must be 0 to 2\^20/],
  ["slots", (c) => (c.functions[0]!.slots = 65), /slots: must be 0 to 64/],
  ["no name", (c) => (c.functions[0]!.name = ""), /name: must be the name of a function/],
  ["a name twice", (c) => (c.functions[1]!.name = c.functions[0]!.name), /name: is there twice/],
  ["programs", (c) => c.programs.pop(), /programs: are 1, the plan has 2/],
  ["another program", (c) => (c.programs[0]!.name = "x"), /name: must be "chunk", as in the plan/],
  ["no function", (c) => (launch(c).function = 6), /launches\[0\]\.function: names function 6 of 6/],
  ["no step", (c) => (launch(c).step = 3), /launches\[0\]\.step: names step 3 of 3/],
  ["a step left out", (c) => c.programs[0]!.launches.pop(), /launches: has none for step 2/],
  ["order", (c) => c.programs[0]!.launches.reverse(), /goes back to an earlier step/],
  ["bindings", (c) => launch(c).bindings.pop(), /bindings: are 2 for the 3 slots of scale_chunk/],
  [
    "another step's buffer",
    (c) => (launch(c).bindings[0] = 2),
    /bindings\[0\]: is buffer 2, which step 0 does not use/,
  ],
  ["no buffer", (c) => (launch(c).bindings[0] = -1), /bindings\[0\]: is buffer -1/],
  ["no symbol", (c) => (launch(c).blocks[0]!.extent = times(9)), /extent: names symbol 9 of 3/],
  ["a long extent", (c) => (launch(c).blocks[0]!.extent = times(0, 2 ** 40)), /extent: can pass 2\^31/],
  ["no tile", (c) => (launch(c).blocks[0]!.tile = 0), /tile: must be 1 to 2\^31, not 0/],
  [
    "too many blocks",
    (c) => (launch(c).blocks = [1, 2].map(() => ({ extent: { constant: 2 ** 30, terms: [] }, tile: 1 }))),
    /blocks: can pass 2\^53 in total/,
  ],
  ["per multiprocessor", (c) => (launch(c).perMultiprocessor = 65), /perMultiprocessor: must be 0 to 64/],
  ["scratch", (c) => (c.scratchBytes = -1), /scratchBytes: must be 0 to 2\^46/],
  ["tickets", (c) => (c.tickets = 2 ** 40), /tickets: must be 0 to 2\^31/],
];
for (const [name, change, pattern] of cases)
  test(name, async () => {
    const cuda = exampleCuda(plan);
    change(cuda);
    assert.match(await refusal(cuda), pattern);
  });

test("images that are missing or empty", async () => {
  assert.match(await refusal(exampleCuda(plan), []), /images: are 0 for the 1 modules/);
  assert.match(await refusal(exampleCuda(plan), [new Uint8Array(0)]), /image 0 is empty/);
  assert.match(await refusal(exampleCuda(plan), ["text" as never]), /image 0 must be a typed array/);
});

test("damaged at random: each loads and runs, or is an error", async () => {
  const random = randomSource(Number(process.env.WEFT_FUZZ_SEED ?? 5));
  const original = exampleCuda(plan);
  const all = leaves(original);
  const numbers = all.filter((path) => typeof valueAt(original, path) === "number");
  const counts = { ran: 0, refused: 0 };
  for (let i = 0; i < Number(process.env.WEFT_FUZZ_CASES ?? 800); i++) {
    const cudaPlan = structuredClone(original);
    for (let changes = random() < 0.7 ? 1 : 3; changes > 0; changes--)
      mutate(cudaPlan, random() < 0.8 ? numbers : all, random);
    using device = await recordingDevice({
      prepare: async () => ({ cudaPlan, images: [image] }),
      memoryLimitBytes: 2 ** 28,
    });
    try {
      using executable = await device.load(plan, exampleWeights);
      const options = { symbols: { past: 1, seq: 2 }, inputs: { x: new Float32Array(2 * hidden) } };
      await executable.run("chunk", options);
      counts.ran++;
    } catch (error) {
      assert.instance(error, Error);
      counts.refused++;
    }
  }
  assert.ok(counts.ran > 0 && counts.refused > 0, JSON.stringify(counts));
});

test.run();
