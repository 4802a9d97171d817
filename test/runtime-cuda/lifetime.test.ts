/** Ends that come early: disposal under a run or a load, a process that leaves everything open, collected handles. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { recordingDevice } from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { examplePlan, exampleWeights, hidden, prepareExample } from "./example.ts";

const test = suite("cuda lifetime");
const plan = examplePlan();
const step = { symbols: { past: 0, seq: 0 }, inputs: { x: new Float32Array(hidden) } };
const outcome = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "done",
    (error: Error) => error.message,
  );
/** Work that is under way for some ten milliseconds: longer than a busy machine holds this thread up. */
const slow = (at: number) => [{ call: "query_event", at, times: 20000, status: 600 }];

test("an executable that is disposed under a run: the run rejects, memory goes when it has ended", async () => {
  using device = await recordingDevice({ prepare: prepareExample, faults: slow(3) });
  const executable = await device.load(plan, exampleWeights);
  const runs = [executable.run("step", step), executable.run("step", step)].map(outcome);
  // Of another program: it has to wait.
  const waiting = outcome(executable.run("chunk", { ...step, symbols: { past: 0, seq: 1 } }));
  executable[Symbol.dispose]();
  for (const text of await Promise.all(runs))
    assert.match(text, /the run was ended: its executable or device was disposed/);
  assert.match(await waiting, /must not be used after dispose/);
  // Behind the run in the device's queue; another load is behind both.
  (await device.load(plan, exampleWeights))[Symbol.dispose]();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(device.takeCalls().live, { event: 1, stream: 1 });
});

test("a device that is disposed under a run, and with work that waits", async () => {
  const device = await recordingDevice({ prepare: prepareExample, faults: slow(5) });
  const [one, two] = [await device.load(plan, exampleWeights), await device.load(plan, exampleWeights)];
  const calls = [one.run("step", step), two.run("step", step), two.reset()].map(outcome);
  device[Symbol.dispose]();
  assert.equal(device.takeCalls().live, {});
  for (const text of await Promise.all(calls)) assert.match(text, /disposed/);
  one[Symbol.dispose]();
  device[Symbol.dispose]();
});

test("disposed when runs have ended, before it was told", async () => {
  const busy = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
  for (const what of ["executable", "device"]) {
    const device = await recordingDevice({ prepare: prepareExample });
    const executable = await device.load(plan, exampleWeights);
    const runs = [1, 2, 3].map(() => outcome(executable.run("step", step)));
    // The runs end meanwhile, and after the dispose the memory of their outputs goes.
    busy();
    (what === "device" ? device : executable)[Symbol.dispose]();
    busy();
    for (const text of await Promise.all(runs))
      assert.match(text, /the run was ended: its executable or device was disposed/, what);
    device[Symbol.dispose]();
    assert.equal(device.takeCalls().live, {}, what);
  }
});

test("a device that is disposed while it loads", async () => {
  const device = await recordingDevice({ prepare: prepareExample, faults: slow(1) });
  const load = outcome(device.load(plan, exampleWeights));
  await new Promise((resolve) => setTimeout(resolve, 2));
  device[Symbol.dispose]();
  assert.match(await load, /disposed/);
  assert.equal(device.takeCalls().live, {});
});

/** The output of a process that runs this with a device of the example, and how it ended. */
function inProcess(body: string) {
  const example = fileURLToPath(new URL("example.ts", import.meta.url));
  const script = `
    const { recordingDevice } = await import("@weft/runtime-cuda");
    const { examplePlan, exampleWeights, hidden, prepareExample } = await import(${JSON.stringify(example)});
    const device = await recordingDevice({ prepare: prepareExample });
    ${body}`;
  const { stdout, stderr, status, signal } = spawnSync(
    process.execPath,
    ["--conditions=source", "--import", "tsx", "--input-type=module", "--eval", script],
    { encoding: "utf8", timeout: 60000, cwd: fileURLToPath(new URL("../..", import.meta.url)) },
  );
  return { ended: [stdout.trim(), status, signal], stderr };
}

test("a process that leaves all of it open ends by itself", () => {
  const { ended, stderr } = inProcess(`
    const executable = await device.load(examplePlan(), exampleWeights);
    await executable.run("step", { symbols: { past: 0, seq: 0 }, inputs: { x: new Float32Array(hidden) } });
    console.log("ran");`);
  assert.equal(ended, ["ran", 0, null], stderr);
});

test("a process that ends before it has heard how far a load is", () => {
  // Whether the last news comes before the end is a matter of luck.
  for (let attempt = 0; attempt < 5; attempt++) {
    const { ended, stderr } = inProcess(
      "await device.load(examplePlan(), exampleWeights, { onProgress: () => {} });",
    );
    assert.equal(ended, ["", 0, null], stderr);
  }
});

test("an error of whoever is told how far a load is, is the program's", () => {
  const { ended, stderr } = inProcess(`
    process.on("uncaughtException", ({ message }) => console.log(message));
    const told = () => {
      throw new Error("not now");
    };
    await device.load(examplePlan(), exampleWeights, { onProgress: told });
    console.log("loaded");
    // News of a load does not keep a process alive.
    setTimeout(() => {}, 200);`);
  assert.equal([ended[0]!.toString().split("\n").sort(), ended[1]], [["loaded", "not now"], 0], stderr);
});

test.run();
