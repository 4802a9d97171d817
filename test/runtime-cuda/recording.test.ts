/** What the host asks of a driver: allocations, copies, grids, graphs; and that all of it is given back. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type DeviceFacts,
  type RecordedCall,
  type RecordingOptions,
  recordingDevice,
} from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  capacity,
  chunk,
  exampleCuda,
  examplePlan,
  exampleWeights,
  hidden,
  prepareExample,
} from "./example.ts";

const test = suite("cuda recording");
const plan = examplePlan();
const row = hidden * 4;

const open = (options: Partial<RecordingOptions> = {}) =>
  recordingDevice({ prepare: prepareExample, ...options });
const names = (calls: readonly RecordedCall[]) => calls.map(({ name }) => name);
const only = (calls: readonly RecordedCall[], name: string) => calls.filter((call) => call.name === name);
const chunkRun = (past: number, seq: number) => ({
  symbols: { past, seq },
  inputs: { x: new Float32Array(seq * hidden) },
});
const stepRun = (past: number) => ({
  symbols: { past, seq: 0 },
  inputs: { x: new Float32Array(hidden) },
});

test("one allocation a class, as predicted; all given back", async () => {
  const device = await open({ emit: exampleCuda });
  const predicted = device.predictMemory(plan);
  const executable = await device.load(plan, exampleWeights);
  const { calls, live } = device.takeCalls();
  assert.equal(
    only(calls, "allocate").map(({ bytes }) => bytes),
    // Weights, state, activations, input, output, scratch, symbols and counters.
    [256, 256, 256, 256, 256, 1000, 768],
  );
  assert.equal(executable.memory(), predicted);
  assert.is(predicted.total, 5 * 256 + 1000 + 768);
  // Symbols, report of indices, input and output, for each of the runs that may be under way.
  assert.is(executable.runsAhead, 4);
  assert.is(predicted.pinned, 4 * (4 * 256));
  assert.is(only(calls, "allocate_host")[0]!.bytes, predicted.pinned);
  assert.is(predicted.weightsMapped, 0);
  // The ring that weights went through is gone again.
  assert.equal(live, { device: 7, event: 5, module: 1, pinned: 1, stream: 1 });
  // State and counters begin as zeros.
  assert.equal(
    only(calls, "fill").map(({ bytes, value }) => [bytes, value]),
    [
      [256, 0],
      [768, 0],
    ],
  );
  assert.equal(
    only(calls, "get_function").map(({ text }) => text),
    plan.kernels.map(({ name }) => name),
  );
  assert.equal(
    only(calls, "allow_shared_bytes").map(({ bytes }) => bytes),
    [1024, 1024],
  );
  executable[Symbol.dispose]();
  device[Symbol.dispose]();
  assert.equal(device.takeCalls().live, {});
});

test("launches overlap where it is asked for, and the GPU and its driver can", async () => {
  const overlaps = async (facts: Partial<DeviceFacts>, overlapLaunches = true) => {
    using device = await open({ facts, overlapLaunches });
    const executable = await device.load(plan, exampleWeights);
    device.takeCalls();
    await executable.run("step", stepRun(0));
    return only(device.takeCalls().calls, "launch").map((call) => call.overlaps ?? 0);
  };
  const [some, none] = [
    [0, 1, 1],
    [0, 0, 0],
  ];
  // The first one follows a copy.
  assert.equal(await overlaps({}), some);
  assert.equal(await overlaps({ driverVersion: 12030 }), some);
  assert.equal(await overlaps({ computeCapability: 121 }), some);
  assert.equal(await overlaps({}, false), none);
  assert.equal(await overlaps({ driverVersion: 12020 }), none);
  assert.equal(await overlaps({ computeCapability: 89 }), none);
});

test("a device that is disposed gives back what its executables hold", async () => {
  const device = await open();
  const executable = await device.load(plan, exampleWeights);
  await executable.run("step", stepRun(0));
  await executable.run("step", stepRun(1));
  await executable.profile("step", stepRun(2));
  device[Symbol.dispose]();
  assert.equal(device.takeCalls().live, {});
  const error = await executable.run("step", stepRun(3)).catch((one: Error) => one);
  assert.match(String(error), /device of this executable was disposed/);
  executable[Symbol.dispose]();
});

test("launches in order, grids from the symbols, sizes of copies from the ports", async () => {
  using device = await open();
  using executable = await device.load(plan, exampleWeights);
  device.takeCalls();
  await executable.run("chunk", chunkRun(1, 3));
  const { calls } = device.takeCalls();
  assert.equal(names(calls), [
    "copy_to_device",
    "copy_to_device",
    "launch",
    "launch",
    "launch",
    "copy_to_host",
    "record_event",
    "query_event",
  ]);
  assert.equal(
    only(calls, "copy_to_device").map(({ bytes }) => bytes),
    [3 * 4, 3 * row],
  );
  assert.equal(only(calls, "copy_to_host")[0]!.bytes, 3 * row);
  const launches = only(calls, "launch");
  assert.equal(
    launches.map(({ blocks, threads, shared }) => [blocks, threads, shared]),
    [
      [3, 32, 1024],
      [3, 32, 0],
      [2 * 132, 32, 0],
    ],
  );
  assert.match(launches[1]!.text!, /^append_chunk \(kernel append_chunk, step 1 of chunk, from block\.1\)$/);
  // Args: symbols, scratch, tickets, fault (address and bytes each), step, blocks, slots.
  const words = launches[0]!.words!;
  assert.equal(
    [words[1], words[3], words[5], words[7], words[8], words[9], words[10]],
    [12, 1000, 12, 16, 0, 0, 3],
  );
  assert.equal([words[12], words[14], words[16]], [chunk * row, hidden * 2, chunk * row]);
  for (const at of [0, 2, 4, 6, 11, 13, 15]) assert.is(words[at]! % 256, 0);
  assert.is(words[4], words[0]! + 256);
  assert.is(words[6], words[0]! + 512);
});

test("launches of no blocks are left out, and so are outputs that nobody wants", async () => {
  using device = await open();
  using executable = await device.load(plan, exampleWeights);
  device.takeCalls();
  const empty = await executable.run("chunk", chunkRun(2, 0));
  assert.is(empty.outputs.y!.length, 0);
  assert.equal(names(device.takeCalls().calls), ["copy_to_device", "record_event", "query_event"]);
  await executable.run("chunk", { ...chunkRun(0, 1), outputs: {} });
  assert.equal(only(device.takeCalls().calls, "copy_to_host"), []);
});

test("a steady program is captured by its second run and replayed", async () => {
  using device = await open();
  using executable = await device.load(plan, exampleWeights);
  device.takeCalls();
  await executable.run("step", stepRun(0));
  assert.is(only(device.takeCalls().calls, "begin_capture").length, 0);
  await executable.run("step", stepRun(1));
  const { calls } = device.takeCalls();
  assert.equal(
    calls.map(({ name, isCaptured }) => (isCaptured ? `${name}*` : name)),
    [
      "copy_to_device",
      "copy_to_device",
      "begin_capture",
      "launch*",
      "launch*",
      "launch*",
      "end_capture",
      "launch_graph",
      "copy_to_host",
      "record_event",
      "query_event",
    ],
  );
  const replayed = ["copy_to_device", "copy_to_device", "launch_graph", "copy_to_host"];
  for (let past = 2; past < 5; past++) {
    await executable.run("step", stepRun(past));
    assert.equal(names(device.takeCalls().calls), [...replayed, "record_event", "query_event"]);
  }
  // Whatever outputs are wanted, it is the same graph.
  await executable.run("step", { ...stepRun(5), outputs: {} });
  assert.equal(names(device.takeCalls().calls), [...replayed.slice(0, 3), "record_event", "query_event"]);
  // A program whose sizes change is never one.
  for (let i = 0; i < 3; i++) await executable.run("chunk", chunkRun(0, 2));
  assert.is(only(device.takeCalls().calls, "begin_capture").length, 0);
});

test("a captured grid is that of the largest symbols", async () => {
  const prepare = async () => {
    const cudaPlan = exampleCuda(plan);
    // As attention over the past: blocks grow with it.
    cudaPlan.programs[1]!.launches[1]!.blocks = [
      { extent: { constant: 1, terms: [{ symbol: 0, factor: 1 }] }, tile: 2 },
    ];
    return { cudaPlan, images: [new Uint8Array(4)] };
  };
  using device = await open({ prepare });
  using executable = await device.load(plan, exampleWeights);
  await executable.run("step", stepRun(1));
  assert.is(only(device.takeCalls().calls, "launch")[1]!.blocks, 1);
  await executable.run("step", stepRun(1));
  assert.is(only(device.takeCalls().calls, "launch")[1]!.blocks, Math.ceil(capacity / 2));
});

test("times are summed over the launches of a step", async () => {
  const prepare = async () => {
    const cudaPlan = exampleCuda(plan);
    const { launches } = cudaPlan.programs[0]!;
    launches.splice(1, 0, structuredClone(launches[0]!));
    return { cudaPlan, images: [new Uint8Array(4)] };
  };
  using device = await open({ prepare });
  using executable = await device.load(plan, exampleWeights);
  const { lanes, steps } = await executable.profile("chunk", chunkRun(0, 2));
  assert.equal(
    steps.map(({ kernel, nanoseconds }) => [kernel, Math.round(nanoseconds / 1000)]),
    [
      ["scale_chunk", 2],
      ["append_chunk", 1],
      ["add_chunk", 1],
    ],
  );
  assert.equal(lanes, ["stream 0"]);
  assert.equal(
    steps.map(({ spans }) => spans.map(({ begin, end, waited }) => [begin, end, waited])),
    [[[0, 2000, 0]], [[2000, 3000, 0]], [[3000, 4000, 0]]],
  );
});

test("the state: cleared, moved, saved, put back", async () => {
  using device = await open();
  using executable = await device.load(plan, exampleWeights);
  device.takeCalls();
  await executable.reset();
  assert.equal(
    only(device.takeCalls().calls, "fill").map(({ bytes }) => bytes),
    [256],
  );
  await executable.shiftState(1);
  const { calls } = device.takeCalls();
  // By way of the activations: a copy must not overlap itself.
  assert.equal(
    only(calls, "copy_on_device").map(({ bytes }) => bytes),
    [5 * row, 5 * row],
  );
  assert.equal(
    only(calls, "fill").map(({ bytes }) => bytes),
    [row],
  );
  await executable.shiftState(4);
  assert.equal(
    only(device.takeCalls().calls, "copy_on_device").map(({ bytes }) => bytes),
    [2 * row],
  );
  const error = await executable.shiftState(7).catch((one: Error) => one);
  assert.match(String(error), /cannot drop 7 positions of cache, which has 6/);
  const saved = await executable.saveState();
  assert.is(saved.byteLength, 256);
  await executable.restoreState(saved);
  const short = await executable.restoreState(saved.subarray(1)).catch((one: Error) => one);
  assert.match(String(short), /the saved state has 255 bytes, this executable's has 256/);
});

test("weights are uploaded from files in pieces, with progress, and judged", async () => {
  const folder = mkdtempSync(join(tmpdir(), "weft-cuda-"));
  try {
    const path = join(folder, "weights.bin");
    const values = new Float32Array(hidden + 1);
    writeFileSync(path, values);
    const file = { kind: "file", path, dtype: "f32", shape: [hidden], bytes: hidden * 4, offset: 4 } as const;
    using device = await open();
    const told: number[][] = [];
    {
      using _ = await device.load(
        plan,
        { "scale.weight": file },
        { onProgress: (...one) => void told.push(one) },
      );
      const { calls } = device.takeCalls();
      assert.equal(only(calls, "copy_to_device").length, 1);
      assert.is(only(calls, "copy_to_device")[0]!.bytes, hidden * 2);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(told, [[hidden * 2, hidden * 2]]);
    const fails = async (weight: object, pattern: RegExp, options = {}) => {
      const error = await device
        .load(plan, { "scale.weight": { ...file, ...weight } }, options)
        .catch((one: Error) => one);
      assert.match(String(error), pattern);
    };
    values[3] = Number.NaN;
    writeFileSync(path, values);
    await fails({}, /scale\.weight: NaN at flat index 2/);
    (await device.load(plan, { "scale.weight": file }, { checkWeights: false }))[Symbol.dispose]();
    await fails({ offset: 8 }, /ends before scale\.weight does: it has 36 bytes, 8 \+ 32 are needed/);
    await fails({ path: join(folder, "none") }, /cannot open/);
    await fails({ shape: [4] }, /the shape must be \[8\]/);
    // What a failed load allocated is gone.
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(device.takeCalls().live, { event: 1, stream: 1 });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("limits are kept before anything is allocated, with the table of what takes the space", async () => {
  using device = await open({ memoryLimitBytes: 2000 });
  const refusal = async (given: typeof device, options = {}) =>
    String(await given.load(plan, exampleWeights, options).catch((one: Error) => one));
  const text = await refusal(device);
  assert.match(text, /the plan example needs 3048 bytes, the limit is 2000/);
  assert.match(
    text,
    /weights +256\n[\s\S]*scratch +1000\n[\s\S]*symbols and counters +768\n[\s\S]*total +3048/,
  );
  assert.is(only(device.takeCalls().calls, "allocate").length, 0);
  (await device.load(plan, exampleWeights, { memoryLimitBytes: 3048 }))[Symbol.dispose]();
  using full = await open({ facts: { freeBytes: 3047, totalBytes: 5000 } });
  assert.match(await refusal(full), /needs 3048 bytes, recorded GPU has 3047 of its 5000 free/);
  using small = await open({ facts: { sharedBytesPerBlock: 1023 } });
  assert.match(await refusal(small), /kernel scale_chunk needs 1024 bytes of shared memory per block/);
});

test("inputs and symbols are checked before anything is put on the stream", async () => {
  using device = await open();
  using executable = await device.load(plan, exampleWeights);
  device.takeCalls();
  for (const [options, pattern] of [
    [{ symbols: { past: 5, seq: 2 }, inputs: { x: new Float32Array(16) } }, /total is 7/],
    [{ symbols: { past: 0, seq: 2 }, inputs: { x: new Float32Array(15) } }, /15 elements, 16 are needed/],
    [{ symbols: { past: 0, seq: 2 }, inputs: {} }, /input x is missing/],
  ] as const) {
    const error = await executable.run("chunk", options as never).catch((one: Error) => one);
    assert.match(String(error), pattern);
  }
  assert.equal(device.takeCalls().calls, []);
});

test.run();
