/** The verdicts of the CPU benchmark: who is held against whom, and what is not claimed where something is missing. */
import { readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { names } from "../../bench/decode-cpu/candidate.ts";
import type { Sample } from "../../bench/decode-cpu/measure.ts";
import { timeQuantizing } from "../../bench/decode-cpu/quantize.ts";
import { showQuantizing, showTargets, showThroughput } from "../../bench/decode-cpu/report.ts";
import { type Measured, targetsOf, verdict } from "../../bench/decode-cpu/targets.ts";
import { ensureModel } from "../../bench/model/make.ts";

const test = suite("bench: decode-cpu");

const samplesOf = (candidate: string, prefill: number, decode: number): Sample[] =>
  [128, 512, 1024].map((prompt) => ({
    candidate,
    round: 0,
    prompt,
    prefillTokensPerSecond: prefill,
    decodeTokensPerSecond: prompt === 512 ? undefined : decode,
    bytesPerToken: 100,
    bandwidth: 20_000,
    others: 0,
    firstToken: 1,
  }));
const ours = samplesOf(names.nvfp4, 120, 150);
const [q4_0, mxfp4] = [samplesOf(names.peerQ4_0, 80, 100), samplesOf(names.peerMxfp4, 100, 90)];
const measured = (samples: readonly Sample[], rest: Partial<Measured> = {}): Measured => ({
  samples,
  memory: [],
  starts: [],
  quantizing: [],
  ...rest,
});
const verdicts = (given: Measured) =>
  Object.fromEntries(targetsOf(given).map((one) => [one.question, [one.measured, verdict(one)]]));

test("NVFP4 is held against the better of the peer's types, phase by phase", () => {
  const found = verdicts(measured([...ours, ...q4_0, ...mxfp4]));
  assert.equal(found["decode at context 128"], [1.5, "reached"]);
  assert.equal(found["prefill of 512"], [1.2, "reached"]);
  assert.equal(found["decode at context 128, of the bandwidth"], [75, "reached"]);
  assert.match(showThroughput([...ours, ...q4_0, ...mxfp4]), /ours NVFP4 \/ the better peer +1\.2/);
});

test("without one of the two there is no better one, and nothing is claimed", () => {
  assert.equal(verdicts(measured([...ours, ...q4_0]))["decode at context 128"], [undefined, "not measured"]);
  assert.equal(verdicts(measured(ours))["prefill of 512"], [undefined, "not measured"]);
  assert.equal(targetsOf(measured(samplesOf(names.peerBf16, 1, 1))), []);
});

test("bf16 has its own peer", () => {
  const found = verdicts(measured([...samplesOf(names.bf16, 30, 10), ...samplesOf(names.peerBf16, 10, 10)]));
  assert.equal(found["prefill of 512"], [3, "reached"]);
  assert.equal(found["decode at context 128"], [1, "short by 0.1 x the peer"]);
});

test("quantising is timed by processor seconds of a whole run, and leaves nothing behind", async () => {
  const folder = join(tmpdir(), `weft-bench-quantize-${process.pid}`);
  try {
    const model = ensureModel("tiny-tied", "bf16", { folder });
    const own = await timeQuantizing(model);
    assert.is(own.inputBytes, model.weightBytes);
    assert.ok(own.processorSeconds > 0 && own.seconds > 0);
    const [target] = targetsOf(
      measured([], { quantizing: [{ ...own, inputBytes: 3e8, processorSeconds: 1 }] }),
    );
    assert.equal([target!.measured, verdict(target!)], [300, "reached"]);
    assert.match(
      showTargets(measured([], { quantizing: [own] })),
      /weft quantize +input per processor second/,
    );
    assert.match(showQuantizing([own]), /MB of input per processor second/);
    assert.equal(
      readdirSync(folder).filter((name) => name.includes("quantizing")),
      [],
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.run();
