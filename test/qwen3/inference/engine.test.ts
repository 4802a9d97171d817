/** The turns that contexts take on one executable: what is kept of them, and what becomes of those that fail. */
import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type ContextCache, openQwen3, type Qwen3 } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type CheckpointShape, writeCheckpoint } from "../../support/checkpoints.ts";
import { type ScriptedDevice, scriptedDevice } from "./scripted-device.ts";
import { inDirectory, rejectsWith } from "./support.ts";

const shape: CheckpointShape = {
  hidden: 16,
  layers: 1,
  heads: 2,
  kvHeads: 1,
  headDim: 8,
  intermediate: 24,
  vocab: 37,
};
const test = suite("engine");
const ahead = { draw: () => Float32Array.of(0, 1, 1, 0, 0), most: 100 };
const append = (context: ContextCache, token: number) =>
  context.append([token], { output: "candidates", ahead });

const scripted = (work: (model: Qwen3, device: ScriptedDevice) => Promise<void>) =>
  inDirectory(async (directory) => {
    writeCheckpoint(directory, shape);
    const device = scriptedDevice();
    device.isFree = true;
    using model = await openQwen3(directory, { device, capacity: 24, chunk: 5 });
    await work(model, device);
  });

test("every call on a disposed model is refused, also behind one that was", async () => {
  await scripted(async (model) => {
    const [one, other] = [model.createContext(), model.createContext()];
    await append(one, 7);
    model[Symbol.dispose]();
    // What was begun before is there.
    await append(one, 1);
    for (const context of [one, one, other, one, other]) {
      await rejectsWith(() => append(context, 2), "a model must not be used after it was disposed");
      await rejectsWith(() => context.append([2, 3]), "a model must not be used after it was disposed");
    }
  });
});

test("what former calls gave is not kept", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  await scripted(async (model) => {
    const context = model.createContext();
    await context.append([1, 2, 3]);
    const saved: WeakRef<object>[] = [];
    for (let i = 0; i < 10; i++) saved.push(new WeakRef((await context.save()).state));
    await append(context, 4);
    await setImmediate();
    collect();
    assert.is(saved.filter((one) => one.deref() !== undefined).length, 0);
  });
});

test("a context whose rows could not be brought in is as before, and can be given others", async () => {
  await scripted(async (model, device) => {
    const context = model.createContext();
    await append(context, 7);
    const short = await context.save();
    await context.append([1, 2, 3, 4]);
    const long = await context.save();
    context.restore(short);
    device.isFree = false;
    const { executable } = model;
    const { saveState } = executable;
    Object.assign(executable, {
      saveState: async () => {
        Object.assign(executable, { saveState });
        throw new Error("no room");
      },
    });
    let message = "";
    await append(context, 2).catch((error: Error) => {
      message = error.message;
      context.restore(long);
    });
    assert.is(message, "no room");
    await setImmediate();
    // The steps begun behind it would have brought in the rows that were restored, and written among them.
    assert.equal(device.runs, []);
    const next = append(context, 6);
    await setImmediate();
    assert.equal(
      device.runs.map(({ tokens, past }) => `${tokens}@${past}`),
      ["6@5", "-1@6", "-1@7", "-1@8"],
    );
    while (device.runs.length > 0) device.runs[0]!.end();
    await next;
    assert.equal(context.tokens, [7, 1, 2, 3, 4, 6]);
  });
});

test.run();
