/** What goes wrong on a device: failed calls, lost devices, work that does not end. The process lives on. */
import { type RecordingOptions, recordingDevice } from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { examplePlan, exampleWeights, hidden, prepareExample } from "./example.ts";

const test = suite("cuda faults");
const plan = examplePlan();
// Loading waits twice: for the weights, and for the rest.
const illegalAddress = 700;
const notReady = 600;

const open = (options: Partial<RecordingOptions> = {}) =>
  recordingDevice({ prepare: prepareExample, ...options });
const step = { symbols: { past: 0, seq: 0 }, inputs: { x: new Float32Array(hidden) } };
const failure = async (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "no error",
    (error: Error) => error.message,
  );

test("an error names the call, the code, the kernel, its step and origin; the device goes on", async () => {
  using device = await open({ faults: [{ call: "launch", at: 2, status: 1 }] });
  using executable = await device.load(plan, exampleWeights);
  assert.is(
    await failure(executable.run("step", step)),
    "[cuda] cuLaunchKernelEx must succeed; CUDA_ERROR_INVALID_VALUE (invalid argument); append_step " +
      "(kernel append_step, step 1 of step, from block.4), 1 blocks of 32 threads",
  );
  await executable.run("step", step);
});

test("a sticky error loses the device: later calls say so, dispose works, a new one can be opened", async () => {
  const device = await open({ faults: [{ call: "query_event", at: 5, status: illegalAddress }] });
  const executable = await device.load(plan, exampleWeights);
  const other = await device.load(plan, exampleWeights);
  const first = await failure(executable.run("step", step));
  assert.match(
    first,
    /^\[cuda\] cuEventQuery must succeed; CUDA_ERROR_ILLEGAL_ADDRESS .*; running step; the device is lost: close it and open a new one, with waitForEachLaunch to learn which kernel it was$/,
  );
  device.takeCalls();
  for (const call of [
    () => executable.run("step", step),
    () => other.run("step", step),
    () => other.reset(),
    () => other.saveState(),
    () => other.shiftState(1),
    () => device.load(plan, exampleWeights),
  ])
    assert.match(await failure(call()), /must not be used after it was lost; .*CUDA_ERROR_ILLEGAL_ADDRESS/);
  assert.equal(device.takeCalls().calls, [], "nothing more is asked of the driver");
  executable[Symbol.dispose]();
  other[Symbol.dispose]();
  device[Symbol.dispose]();
  assert.equal(device.takeCalls().live, {});
  using again = await open();
  using loaded = await again.load(plan, exampleWeights);
  await loaded.run("step", step);
});

test("work that does not end: an error at the deadline, nothing is freed under it, dispose does not wait", async () => {
  const device = await open({
    waitSeconds: 0.1,
    faults: [{ call: "query_event", at: 3, times: 1e9, status: notReady }],
  });
  const executable = await device.load(plan, exampleWeights);
  const begin = performance.now();
  assert.match(
    await failure(executable.run("step", step)),
    /^\[cuda\] work on the device must end within 0\.1 s; it still runs; running step; the device is lost/,
  );
  assert.ok(performance.now() - begin < 2000);
  assert.match(await failure(executable.run("step", step)), /must not be used after it was lost/);
  device.takeCalls();
  executable[Symbol.dispose]();
  device[Symbol.dispose]();
  const { calls, live } = device.takeCalls();
  assert.equal(calls, []);
  assert.ok(live.device! > 0);
});

test("the event loop is free while a device works", async () => {
  using device = await open({ faults: [{ call: "query_event", at: 3, times: 20000, status: notReady }] });
  using executable = await device.load(plan, exampleWeights);
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  await executable.run("step", step);
  clearInterval(timer);
  assert.ok(ticks > 3, `${ticks} ticks`);
});

test("every call of loading may fail: an error, and nothing is left behind", async () => {
  const names = new Map<string, number>();
  {
    using device = await open();
    using _ = await device.load(plan, exampleWeights);
    for (const { name } of device.takeCalls().calls) names.set(name, (names.get(name) ?? 0) + 1);
  }
  let cases = 0;
  for (const [call, count] of names) {
    if (["free", "free_host", "destroy_event", "destroy_stream", "unload_module"].includes(call)) continue;
    for (let at = 1; at <= count; at++) {
      const device = await open({ faults: [{ call, at, status: 2 }] }).catch((error: Error) => error);
      cases++;
      if (device instanceof Error) {
        assert.match(device.message, /opening the device/);
        continue;
      }
      assert.match(
        await failure(device.load(plan, exampleWeights)),
        /CUDA_ERROR_OUT_OF_MEMORY/,
        `${call} ${at}`,
      );
      const { live } = device.takeCalls();
      assert.equal(live, { event: 1, stream: 1 }, `${call} ${at}: ${JSON.stringify(live)}`);
      (await device.load(plan, exampleWeights))[Symbol.dispose]();
      device[Symbol.dispose]();
      assert.equal(device.takeCalls().live, {});
    }
  }
  assert.ok(cases > 30, `${cases} cases`);
});

test("every call of a run and of a capture may fail: the next run works", async () => {
  const run = [
    "copy_to_device",
    "launch",
    "copy_to_host",
    "record_event",
    "begin_capture",
    "end_capture",
    "launch_graph",
  ];
  for (const call of run)
    for (let at = 1; at <= 10; at++) {
      const device = await open({ faults: [{ call, at, status: 1 }] });
      const executable = await device.load(plan, exampleWeights).catch(() => undefined);
      if (executable !== undefined) {
        let failed = 0;
        for (let i = 0; i < 4; i++)
          if ((await failure(executable.run("step", step))) !== "no error") failed++;
        assert.ok(failed <= 1, `${call} ${at} failed ${failed} times`);
      }
      device[Symbol.dispose]();
      assert.equal(device.takeCalls().live, {}, `${call} ${at}`);
    }
});

test("waiting for each launch finds the one that failed", async () => {
  using device = await open({
    waitForEachLaunch: true,
    faults: [{ call: "query_event", at: 5, status: illegalAddress }],
  });
  using executable = await device.load(plan, exampleWeights);
  assert.match(
    await failure(executable.run("step", step)),
    /ILLEGAL_ADDRESS.*; add_step \(kernel add_step, step 2/,
  );
});

test("options that make no sense", async () => {
  for (const waitSeconds of [0, -1, Number.NaN, 1e6])
    assert.match(await failure(open({ waitSeconds })), /waitSeconds must be more than 0/);
  assert.match(await failure(open({ memoryLimitBytes: 0.5 })), /memoryLimitBytes must be an integer/);
});

test.run();
