/** Threads, disposal, worker threads, a free event loop. */
import { Worker } from "node:worker_threads";
import { cpuDevice } from "@weft/runtime-cpu";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { worstDelay } from "./compare.ts";
import {
  feed,
  plan,
  rejection,
  shape,
  slowPlan,
  slowRun,
  slowSize,
  slowWeights,
  weights,
} from "./small-model.ts";

const test = suite("lifetime");

test("options out of range", () => {
  for (const threads of [0, -1, 1.5, 1025, Number.NaN])
    assert.throws(() => cpuDevice({ threads }), /threads must be an integer from 1 to 1024/);
  assert.throws(() => cpuDevice({ isa: "avx1024" }), /isa must be one of portable/);
  assert.throws(() => cpuDevice({ memoryLimitBytes: -5 }), /memoryLimitBytes must be an integer/);
});

test("very many threads give the same result", async () => {
  using device = cpuDevice({ threads: 64 });
  using executable = await device.load(plan, weights);
  using single = cpuDevice({ threads: 1 });
  using other = await single.load(plan, weights);
  assert.equal(await feed(executable, 0, [1, 2, 3]), await feed(other, 0, [1, 2, 3]));
});

test("the event loop is free while a run is executed", async () => {
  using device = cpuDevice({ threads: 1 });
  using executable = await device.load(slowPlan(slowSize, 100), slowWeights);
  const started = performance.now();
  const delay = await worstDelay(executable.run("main", slowRun));
  const took = performance.now() - started;
  assert.ok(took > 100 && delay < took / 3, `blocked ${delay} of ${took} ms`);
});

test("dispose during a run ends it; use after dispose is an error; many executables at once", async () => {
  using device = cpuDevice({ threads: 2 });
  const slow = await device.load(slowPlan(slowSize, 5000), slowWeights);
  using quick = await device.load(plan, weights);
  const running = slow.run("main", slowRun);
  const waiting = slow.run("main", slowRun);
  const started = performance.now();
  setTimeout(() => slow[Symbol.dispose](), 30);
  assert.match(await rejection(running), /was disposed/);
  assert.match(await rejection(waiting), /after dispose/);
  assert.ok(performance.now() - started < 2000);
  assert.match(await rejection(slow.run("main", slowRun)), /after dispose/);
  assert.throws(() => slow.memory(), /after dispose/);
  slow[Symbol.dispose]();
  assert.is((await feed(quick, 0, [1])).length, shape.hidden);
});

test("a device that is disposed ends everything on it", async () => {
  const device = cpuDevice({ threads: 2 });
  const slow = await device.load(slowPlan(slowSize, 5000), slowWeights);
  const other = await device.load(plan, weights);
  const running = rejection(slow.run("main", slowRun));
  const queued = rejection(feed(other, 0, [1]));
  await new Promise((resolve) => setTimeout(resolve, 20));
  device[Symbol.dispose]();
  device[Symbol.dispose]();
  assert.match(await running, /disposed/);
  assert.match(await queued, /disposed/);
  assert.match(await rejection(feed(other, 0, [1])), /disposed/);
  assert.match(await rejection(device.load(plan, weights)), /disposed/);
});

test("worker threads load the addon of their own, and may be ended during a run", async () => {
  const source = `
    import { parentPort, workerData } from "node:worker_threads";
    const { register } = await import("tsx/esm/api");
    register();
    const { cpuDevice } = await import(workerData.runtime);
    const device = cpuDevice({ threads: 2 });
    const executable = await device.load(workerData.plan, workerData.weights);
    const { outputs } = await executable.run("main", workerData.run);
    parentPort.postMessage(outputs.y.length);
    for (;;) { const run = executable.run("main", workerData.run); parentPort.postMessage("running"); await run; }
  `;
  const workers = [1, 2, 3].map(
    () =>
      new Worker(source, {
        eval: true,
        workerData: {
          runtime: import.meta.resolve("@weft/runtime-cpu"),
          plan: slowPlan(slowSize, 20),
          weights: slowWeights,
          run: slowRun,
        },
        execArgv: ["--conditions=source", "--import", "tsx"],
      }),
  );
  await Promise.all(
    workers.map(
      (worker) =>
        new Promise<void>((resolve, reject) => {
          worker.on("error", reject);
          worker.on("message", (message) => {
            if (message === "running") resolve(void worker.terminate());
            else assert.is(message, 64 * slowSize);
          });
        }),
    ),
  );
});

test("getters among the arguments that dispose the executable or take arrays away: errors, no crash", async () => {
  using device = cpuDevice({ threads: 1 });
  const executable = await device.load(plan, weights);
  const tokens = Int32Array.of(1, 2);
  const symbols = { past: 0, seq: 2 };
  const takes = {
    get y(): Float32Array {
      structuredClone(tokens.buffer, { transfer: [tokens.buffer] });
      return new Float32Array(2 * shape.hidden);
    },
  };
  const taken = executable.run("step", { symbols, inputs: { tokens }, outputs: takes });
  assert.match(await rejection(taken), /input tokens has 0 elements, 2 are needed/);
  const disposes = {
    get tokens(): Int32Array {
      executable[Symbol.dispose]();
      return Int32Array.of(1, 2);
    },
  };
  assert.match(await rejection(executable.run("step", { symbols, inputs: disposes })), /disposed/);
});

test.run();
