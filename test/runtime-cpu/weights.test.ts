/** Memory is known before it is taken; weights come from where they lie, and are checked. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Plan } from "@weft/compiler";
import type { Weight } from "@weft/runtime";
import { cpuDevice, describeCpu } from "@weft/runtime-cpu";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { encode, randomBuffers, weightsOf } from "./compare.ts";
import { qkvPlan } from "./plans.ts";
import { feed, plan, rejection, shape, weights } from "./small-model.ts";

const test = suite("executable weights and memory");

test("memory: predicted without loading, measured after, the same", async () => {
  for (const isa of describeCpu().available)
    for (const threads of [1, 3]) {
      const device = cpuDevice({ threads, isa });
      const predicted = device.predictMemory(plan, { weights });
      const executable = await device.load(plan, weights);
      assert.equal(executable.memory(), predicted, `${isa}, ${threads} threads`);
      await feed(executable, 0, [1, 2, 3]);
      assert.equal(executable.memory(), predicted);
      assert.is(predicted.weightsMapped, 0);
      assert.ok(predicted.weightsCopied >= plan.memory.weights);
      const mapped = device.predictMemory(plan);
      assert.is(mapped.weightsMapped, plan.memory.weights);
      assert.is(mapped.weightsCopied, 0);
      device[Symbol.dispose]();
    }
});

test("a memory limit is refused with the table, before anything is allocated", async () => {
  using device = cpuDevice({ threads: 2, memoryLimitBytes: 10_000 });
  const message = await rejection(device.load(plan, weights));
  assert.match(message, /needs \d+ bytes, the limit is 10000/);
  assert.match(message, /state +\d+/);
  using _ = await device.load(plan, weights, { memoryLimitBytes: 2 ** 30 });
  const huge = JSON.parse(JSON.stringify(plan)) as Plan;
  huge.memory.state = 2 ** 46;
  assert.match(
    await rejection(device.load(huge, weights, { memoryLimitBytes: 2 ** 50 })),
    /refused \d+ bytes for state/,
  );
});

test("weights from a file at odd offsets: mapped, shifted, converted", async () => {
  const folder = mkdtempSync(join(tmpdir(), "weft-weights-"));
  try {
    for (const dtype of ["f32", "bf16"] as const) {
      const target = qkvPlan({ dtype, ...shape });
      const buffers = randomBuffers(target, 1);
      for (const [stored, shift, mapped] of [
        [dtype, 0, true],
        [dtype, 1, false],
        ["f16", 2, false],
        ["bf16", 4, dtype === "bf16"],
        ["f32", 12, dtype === "f32"],
      ] as const) {
        const path = join(folder, `${dtype}-${stored}-${shift}.bin`);
        const parts: Uint8Array[] = [new Uint8Array(8 + shift)];
        let offset = 8 + shift;
        const source: Record<string, Weight> = {};
        target.buffers.forEach((buffer, i) => {
          if (buffer.class !== "weights") return;
          const as = buffer.dtype === "f32" && dtype !== "f32" ? "f32" : stored;
          const data = encode(as, roundedTo(stored, buffers[i]!));
          // bf16 and f16 tensors leave an even, not a fourfold offset behind them.
          source[buffer.name] = {
            kind: "file",
            path,
            offset,
            bytes: data.length,
            dtype: as,
            shape: buffer.shape,
          };
          parts.push(data);
          offset += data.length;
        });
        writeFileSync(path, Buffer.concat(parts));
        const device = cpuDevice({ threads: 2 });
        const executable = await device.load(target, source);
        const table = executable.memory();
        assert.equal(table, device.predictMemory(target, { weights: source }));
        assert.is(table.weightsCopied === 0, mapped, `${dtype} from ${stored} at ${shift}`);
        const rounded = weightsOf(
          target,
          buffers.map((values) => roundedTo(stored, values)),
        );
        const direct = await device.load(target, rounded);
        assert.equal(await feed(executable, 0, [4, 5]), await feed(direct, 0, [4, 5]));
        device[Symbol.dispose]();
      }
    }
    const short = join(folder, "short.bin");
    writeFileSync(short, new Uint8Array(100));
    const source = Object.fromEntries(
      Object.entries(weights).map(([name, weight]) => [
        name,
        {
          kind: "file",
          path: short,
          offset: 0,
          bytes: 4 * weight.shape.reduce((product, size) => product * size, 1),
          dtype: "f32",
          shape: weight.shape,
        } as const,
      ]),
    );
    using device = cpuDevice({ threads: 1 });
    assert.match(
      await rejection(device.load(plan, source)),
      /short\.bin ends before .* is the file truncated\?/,
    );
    const gone = (name: string) => ({ ...source[name]!, path: join(folder, "gone.bin") });
    assert.match(await rejection(device.load(plan, gone)), /cannot open .*gone\.bin \(No such file/);
    assert.match(
      await rejection(device.load(plan, (name) => ({ ...source[name]!, path: folder }))),
      /not a regular file|cannot/,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** Values that both dtypes hold: f16 has fewer bits of exponent, bf16 fewer of mantissa. */
function roundedTo(dtype: string, values: Float32Array): Float32Array {
  return dtype === "f32" ? values : values.map((value) => Math.round(value * 16) / 16);
}

test("weights missing or misshapen are listed at once", async () => {
  using device = cpuDevice({ threads: 1 });
  const { "q.weight": q, "norm.weight": _, ...rest } = weights;
  const message = await rejection(device.load(plan, { ...rest, "q.weight": { ...q!, shape: [1, 2] } }));
  assert.match(message, /the shape must be \[64, 32\]; given \[1, 2\]; at q\.weight/);
  assert.match(message, /the plan needs f32 \[32\]; given nothing; at norm\.weight/);
});

test("NaN and infinity in weights are named with their index, or let through", async () => {
  const buffers = randomBuffers(plan, 1);
  const named = (name: string) => buffers[plan.buffers.findIndex((buffer) => buffer.name === name)]!;
  named("k.weight")[77] = Number.NaN;
  named("k.weight")[99] = Number.NaN;
  named("norm.weight")[31] = Number.NEGATIVE_INFINITY;
  const bad = weightsOf(plan, buffers);
  using device = cpuDevice({ threads: 2 });
  const message = await rejection(device.load(plan, bad));
  assert.match(message, /k\.weight: NaN at flat index 77/);
  assert.match(message, /norm\.weight: -inf at flat index 31/);
  using _ = await device.load(plan, bad, { checkWeights: false });
});

test.run();
