/** Runs called without awaiting: what is put on the stream when, and what becomes of them when one fails or ends early. */
import { hashPlan, type Plan } from "@weft/compiler";
import {
  type Fault,
  type RecordedCall,
  type RecordingDevice,
  type RecordingOptions,
  recordingDevice,
} from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { exampleCuda, examplePlan, exampleWeights, hidden, prepareExample } from "./example.ts";

const test = suite("cuda runs ahead");
const plan = examplePlan();
const notReady = 600;
const open = (options: Partial<RecordingOptions> = {}) =>
  recordingDevice({ prepare: prepareExample, ...options });
const step = { symbols: { past: 0, seq: 0 }, inputs: { x: new Float32Array(hidden) } };
const chunk = { symbols: { past: 0, seq: 1 }, inputs: { x: new Float32Array(hidden) } };
const outcome = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "done",
    (error: Error) => error.message,
  );
/** Work that is under way long enough for this thread to call much: some ten milliseconds. */
const polls = 20000;
const slow = (at: number): Fault => ({ call: "query_event", at, times: polls, status: notReady });
/** Loading waits twice, and two runs by themselves once each: the graph is there then. */
const afterTwo = 5;
async function warm(options: Partial<RecordingOptions>) {
  const device = await open(options);
  const executable = await device.load(plan, exampleWeights);
  for (let i = 0; i < 2; i++) await executable.run("step", step);
  device.takeCalls();
  return { device, executable };
}
/** What was called, without the waiting: "wait" stands for all looks at an event in a row. */
const called = (calls: readonly RecordedCall[]) =>
  calls
    .map(({ name }) => (name === "query_event" ? "wait" : name))
    .filter((name, index, all) => name !== "wait" || all[index - 1] !== "wait");
const one = ["copy_to_device", "copy_to_device", "launch_graph", "copy_to_host", "record_event"];

test("the next runs are put on the stream before the first is awaited, each in memory of its own", async () => {
  const { device, executable } = await warm({ faults: [slow(afterTwo)] });
  assert.is(executable.runsAhead, 4);
  await Promise.all(Array.from({ length: 4 }, () => executable.run("step", step)));
  const { calls } = device.takeCalls();
  // The first may be looked at before the second is there, but it is not done.
  const before = calls.findLastIndex(({ name }) => name === "launch_graph");
  const looks = calls.slice(0, before).filter(({ name }) => name === "query_event").length;
  assert.ok(looks < polls, `${looks} looks before the last launch`);
  assert.equal(
    called(calls).filter((name) => name !== "wait"),
    [...one, ...one, ...one, ...one],
  );
  device[Symbol.dispose]();
  assert.equal(device.takeCalls().live, {});
});

test("a run that is awaited alone is put and awaited as ever", async () => {
  const { device, executable } = await warm({});
  for (let i = 0; i < 3; i++) {
    await executable.run("step", step);
    assert.equal(called(device.takeCalls().calls), [...one, "wait"]);
  }
  device[Symbol.dispose]();
});

test("one graph serves all runs; the first ones make it although nobody waits between them", async () => {
  using device = await open({ faults: [slow(3)] });
  using executable = await device.load(plan, exampleWeights);
  device.takeCalls();
  await Promise.all(Array.from({ length: 6 }, () => executable.run("step", step)));
  const { calls, live } = device.takeCalls();
  const count = (name: string) => calls.filter((call) => call.name === name).length;
  assert.equal([count("begin_capture"), count("launch_graph"), live.graph], [1, 5, 1]);
});

test("promises settle in order, each when its own run has ended; the next call fills the gap", async () => {
  // The first run ends, the second takes its time.
  const { device, executable } = await warm({ faults: [slow(afterTwo), slow(afterTwo + polls + 1)] });
  const settled: number[] = [];
  const calls: RecordedCall[] = [];
  const take = () => calls.push(...device.takeCalls().calls);
  const looks = () => calls.filter(({ name }) => name === "query_event").length;
  const launches = () => calls.filter(({ name }) => name === "launch_graph").length;
  const runs = Array.from({ length: 6 }, (_, index) =>
    executable.run("step", step).then(() => {
      settled.push(index);
      take();
      if (index > 0) return;
      assert.ok(looks() > polls && looks() < 2 * polls, `${looks()} looks: the second run has not ended`);
      assert.ok(launches() <= 5, "four at a time");
    }),
  );
  await Promise.all(runs);
  assert.equal(settled, [0, 1, 2, 3, 4, 5]);
  assert.is(launches(), 6);
  device[Symbol.dispose]();
});

test("programs that are not steady, profiles and operations on the state run alone", async () => {
  const { device, executable } = await warm({});
  await Promise.all([
    executable.run("step", step),
    executable.run("chunk", chunk),
    executable.run("chunk", chunk),
    executable.profile("step", step),
    executable.run("step", step),
    executable.reset(),
    executable.run("step", step),
  ]);
  const { calls } = device.takeCalls();
  const launched = ["launch", "launch", "launch"];
  const timed = launched.flatMap((name) => [name, "record_event"]);
  const plain = [...one.slice(0, 2), ...launched, ...one.slice(3), "wait"];
  assert.equal(
    called(calls).filter((name) => !["create_event", "elapsed"].includes(name)),
    [
      ...one,
      "wait",
      ...plain,
      ...plain,
      ...[...one.slice(0, 2), "record_event", ...timed, ...one.slice(3), "wait"],
      ...one,
      "wait",
      "fill",
      "record_event",
      "wait",
      ...one,
      "wait",
    ],
  );
  device[Symbol.dispose]();
});

test("a call of a getter among the arguments is behind the call that asks for them", async () => {
  const { device, executable } = await warm({});
  const order: string[] = [];
  let inner: Promise<unknown> | undefined;
  const inputs = {
    get x(): Float32Array {
      inner ??= executable.run("step", step).then(() => order.push("inner"));
      return new Float32Array(hidden);
    },
  };
  await executable.run("step", { ...step, inputs }).then(() => order.push("outer"));
  await inner;
  assert.equal(order, ["outer", "inner"]);
  device[Symbol.dispose]();
});

test("the slots behind the first hold what steady programs need", async () => {
  const wide = examplePlan();
  // As logits of a whole prompt, of which a step uses one row.
  const rows = 64;
  const output = wide.buffers.find(({ class: kind }) => kind === "output")!;
  Object.assign(output, { shape: [rows, hidden], bytes: rows * hidden * 4 });
  wide.memory.output = rows * hidden * 4;
  wide.hash = hashPlan(wide);
  using device = await open({ emit: exampleCuda });
  using executable = await device.load(wide, exampleWeights);
  assert.is(executable.memory().pinned, 3 * 256 + rows * hidden * 4 + 3 * (4 * 256));
  assert.equal(executable.memory(), device.predictMemory(wide));
  const { calls } = device.takeCalls();
  assert.is(calls.find(({ name }) => name === "allocate_host")!.bytes, executable.memory().pinned);
  await Promise.all(Array.from({ length: 4 }, () => executable.run("step", step)));
});

/** Four runs at once on a device that fails; then a fifth. */
async function fourAndOne(faults: readonly Fault[], options: Partial<RecordingOptions> = {}) {
  const { device, executable } = await warm({ faults: [slow(afterTwo), ...faults], ...options });
  const outcomes = await Promise.all(Array.from({ length: 4 }, () => outcome(executable.run("step", step))));
  return { device, outcomes, later: await outcome(executable.run("step", step)) };
}
const behind = (error: string) =>
  new RegExp(`^\\[cuda\\] a run before this one failed while this one was under way behind it: ${error}`);

test("a run that cannot be put: those in front succeed, those behind fail with it, the next one works", async () => {
  for (const [call, at] of [
    // One launch of the graph before, and copies of two runs.
    ["launch_graph", 3],
    ["copy_to_host", 4],
    ["record_event", 6],
  ] as const) {
    const { device, outcomes, later } = await fourAndOne([{ call, at, status: 1 }]);
    assert.is(outcomes[0], "done", call);
    assert.match(outcomes[1]!, /^\[cuda\] cu\w+ must succeed; CUDA_ERROR_INVALID_VALUE/, call);
    for (const text of outcomes.slice(2))
      assert.match(text, behind("cu\\w+ must succeed; CUDA_ERROR_INVALID"));
    assert.is(later, "done", call);
    device[Symbol.dispose]();
    assert.equal(device.takeCalls().live, {}, call);
  }
});

test("a sticky error under the first run: it has the error, those behind say what it was", async () => {
  const lost = { call: "query_event", at: afterTwo + polls, status: 700 };
  const { device, outcomes, later } = await fourAndOne([lost]);
  assert.match(
    outcomes[0]!,
    /^\[cuda\] cuEventQuery must succeed; CUDA_ERROR_ILLEGAL_ADDRESS .*; running step; the/,
  );
  for (const text of outcomes.slice(1))
    assert.match(text, behind("cuEventQuery .* CUDA_ERROR_ILLEGAL_ADDRESS"));
  assert.match(later, /must not be used after it was lost/);
  device[Symbol.dispose]();
  assert.equal(device.takeCalls().live, {});
});

test("a sticky error that shows in a call for the next run is the error of the run under way", async () => {
  // Every call fails from the second launch of four on.
  const { device, outcomes } = await fourAndOne([
    { call: "launch_graph", at: 3, times: 100, status: 700 },
    { call: "record_event", at: 6, times: 100, status: 700 },
    { call: "query_event", at: afterTwo + polls, times: 100, status: 700 },
  ]);
  assert.match(outcomes[0]!, /^\[cuda\] cuEventQuery must succeed; .*ILLEGAL_ADDRESS.*the device is lost/);
  assert.match(outcomes[1]!, behind("cuEventQuery"));
  device[Symbol.dispose]();
});

test("a run that does not end: the deadline is its own, those behind fail with it, nothing is freed", async () => {
  const forever = { call: "query_event", at: afterTwo, times: 1e9, status: notReady };
  const { device, outcomes, later } = await fourAndOne([forever], { waitSeconds: 0.1 });
  assert.match(
    outcomes[0]!,
    /^\[cuda\] work on the device must end within 0\.1 s; it still runs; running step/,
  );
  for (const text of outcomes.slice(1))
    assert.match(text, behind("work on the device must end within 0.1 s"));
  assert.match(later, /must not be used after it was lost/);
  device.takeCalls();
  device[Symbol.dispose]();
  const { calls, live } = device.takeCalls();
  assert.equal(calls, []);
  assert.ok(live.pinned! > 0);
});

test("the time of a run begins when those before it have ended", async () => {
  const faults = Array.from({ length: 4 }, (_, run) => slow(afterTwo + run * (polls + 1)));
  const seconds = async (waitSeconds: number) => {
    const { device, executable } = await warm({ faults, waitSeconds });
    const begin = performance.now();
    const outcomes = await Promise.all(faults.map(() => outcome(executable.run("step", step))));
    device[Symbol.dispose]();
    return { outcomes, taken: (performance.now() - begin) / 1000 };
  };
  const expected = faults.map(() => "done");
  let outcomes: string[] = [];
  // A busy machine may hold one run up for as long as all four took before, but not each time.
  for (let attempt = 0; attempt < 5 && outcomes.join() !== expected.join(); attempt++) {
    // All four take longer than the deadline, each takes much less.
    ({ outcomes } = await seconds(0.75 * (await seconds(60)).taken));
  }
  assert.equal(outcomes, expected);
});

test("dispose with runs under way and runs that wait: all reject, memory goes when they have ended", async () => {
  const ends: readonly ((device: RecordingDevice, executable: Disposable) => void)[] = [
    (_, executable) => executable[Symbol.dispose](),
    (device) => device[Symbol.dispose](),
  ];
  for (const end of ends) {
    const { device, executable } = await warm({ faults: [slow(afterTwo)] });
    const runs = Array.from({ length: 6 }, () => outcome(executable.run("step", step)));
    // Some of them are on the stream by then.
    await new Promise((resolve) => setTimeout(resolve, 2));
    end(device, executable);
    for (const text of await Promise.all(runs)) assert.match(text, /dispose/);
    executable[Symbol.dispose]();
    device[Symbol.dispose]();
    assert.equal(device.takeCalls().live, {});
  }
});

test("executables take turns in the order of the calls", async () => {
  using device = await open({ faults: [slow(5)] });
  const other: Plan = examplePlan();
  using a = await device.load(plan, exampleWeights);
  using b = await device.load(other, exampleWeights);
  const settled: string[] = [];
  const run = (name: string, executable: typeof a) =>
    executable.run("step", step).then(() => settled.push(name));
  await Promise.all([run("a", a), run("a", a), run("b", b), run("a", a), run("b", b), run("b", b)]);
  assert.equal(settled, ["a", "a", "b", "a", "b", "b"]);
});

test.run();
