/** What the machine can do at best: plausible, and more with more threads only where there are more processors. */
import { measureMultiplyAddRate, measureReadBandwidth } from "@weft/runtime-cpu";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("limits of the machine");

test("memory is read and numbers are multiplied at rates that a machine has", async () => {
  const bandwidth = await measureReadBandwidth(1);
  assert.ok(bandwidth > 1e8 && bandwidth < 1e13, `${bandwidth} bytes/s`);
  const rate = await measureMultiplyAddRate(2);
  assert.ok(rate > 1e8 && rate < 1e14, `${rate} operations/s`);
});

test("JavaScript goes on meanwhile", async () => {
  let turns = 0;
  const timer = setInterval(() => turns++, 5);
  await measureReadBandwidth(1);
  clearInterval(timer);
  assert.ok(turns > 1, `${turns} turns`);
});

test("a number of threads that is none is refused", async () => {
  for (const threads of [0, 1.5, 2000]) {
    const error = await measureReadBandwidth(threads).catch((one: Error) => one);
    assert.match(String(error), /\[runtime-cpu\] threads must be an integer from 1 to 1024/);
  }
});

test.run();
