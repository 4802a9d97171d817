/** What a cache in device memory must survive: long replays, dropped tokens, saving; and how much memory it takes. */
import { advanceTo, type ContextCache, loadQwen3 } from "@weft/qwen3";
import type { CudaDevice } from "@weft/runtime-cuda";
import { atMost, type Checks, refusal } from "./checks.ts";
import { relativeDifference, type Subject, someTokens } from "./model.ts";

/** Relative root mean square to the CPU. */
const bounds = { f32: 1e-5, bf16: 1e-2 };
/** Of a single row, whose size varies more than that of many. */
const rowBounds = { f32: 1e-5, bf16: 2e-2 };

/** The logits behind each of the tokens, run one by one: steps that are captured once and replayed. */
async function decodeAll(context: ContextCache, tokens: readonly number[]): Promise<Float32Array[]> {
  const rows: Float32Array[] = [];
  for (const token of tokens) rows.push((await context.append([token])).slice());
  return rows;
}

function sameBits(actual: readonly Float32Array[], expected: readonly Float32Array[], what: string): string {
  for (const [row, values] of expected.entries()) {
    const at = values.findIndex((value, index) => !Object.is(value, actual[row]?.[index]));
    if (at >= 0) {
      throw new Error(`${what}: token ${row}, logit ${at} is ${actual[row]?.[at]}, not ${values[at]}`);
    }
  }
  return `${expected.length} rows of logits bit for bit`;
}

/** @param count tokens that are decoded; the capacity of the subject is at least that */
export async function checkState(checks: Checks, subject: Subject, count: number): Promise<void> {
  const { title, dtype, gpu, cpu } = subject;
  const tokens = someTokens(count, gpu.config.vocabSize);

  await checks.check(`${title}: ${count} replayed decode steps`, async () => {
    using context = gpu.createContext();
    using other = cpu.createContext();
    const actual = await decodeAll(context, tokens);
    const expected = await decodeAll(other, tokens);
    return atMost(relativeDifference(actual, expected), bounds[dtype], "relative RMS to the CPU");
  });

  await checks.check(`${title}: the same again`, async () => {
    using context = gpu.createContext();
    const some = tokens.slice(0, Math.min(count, 16));
    const first = await decodeAll(context, some);
    context.reset();
    return sameBits(await decodeAll(context, some), first, "a second run");
  });

  await checks.check(`${title}: steps called without awaiting`, async () => {
    const { executable } = gpu;
    const some = tokens.slice(0, Math.min(count, 16));
    const decode = async (awaits: boolean) => {
      await executable.reset();
      const input = new Int32Array(1);
      const rows: Promise<Float32Array>[] = [];
      for (const [past, token] of some.entries()) {
        // One array for all: it is read before the call returns.
        input[0] = token;
        const symbols = { seq: 1, past, dropped: 0 };
        const run = executable.run("decode", { symbols, inputs: { tokens: input } });
        rows.push(run.then(({ outputs }) => outputs.logits as Float32Array));
        if (awaits) await rows.at(-1);
      }
      return Promise.all(rows);
    };
    const expected = await decode(true);
    return `${executable.runsAhead} at a time, ${sameBits(await decode(false), expected, "ahead of the device")}`;
  });

  await checks.check(`${title}: oldest tokens dropped`, async () => {
    using context = gpu.createContext();
    using other = cpu.createContext();
    // Longer than the capacity by a block, so that the cache is shifted once.
    const text = someTokens(gpu.capacity + 3, gpu.config.vocabSize);
    const rows: Float32Array[][] = [];
    for (const one of [context, other]) {
      await one.append(text.slice(0, gpu.capacity));
      const { logits, dropped } = await advanceTo(one, text, { clip: "drop-oldest" });
      if (dropped === 0) throw new Error("no token was dropped");
      rows.push([logits.slice()]);
    }
    const [actual, expected] = rows as [Float32Array[], Float32Array[]];
    return `${context.dropped} dropped, ${atMost(relativeDifference(actual, expected), rowBounds[dtype], "relative RMS to the CPU")}`;
  });

  await checks.check(`${title}: state saved and put back`, async () => {
    using context = gpu.createContext();
    await context.append(tokens.slice(0, 9));
    const saved = await context.save();
    const next = tokens.slice(9, 13);
    const first = await decodeAll(context, next);
    context.reset();
    await context.append(someTokens(20, gpu.config.vocabSize).reverse());
    context.restore(saved);
    return sameBits(await decodeAll(context, next), first, "after restoring");
  });
}

export async function checkMemory(checks: Checks, subject: Subject, device: CudaDevice): Promise<void> {
  const { title, gpu, prepared } = subject;
  const { predicted, measured } = gpu.memory();

  await checks.check(`${title}: memory as predicted`, async () => {
    for (const [name, bytes] of Object.entries(predicted)) {
      const actual = measured[name as keyof typeof measured];
      if (actual !== bytes) throw new Error(`${name}: ${actual} bytes, ${bytes} predicted`);
    }
    return `${measured.total} bytes`;
  });

  await checks.check(`${title}: memory limit`, async () => {
    const load = (memoryLimitBytes: number) => loadQwen3(prepared, device, { memoryLimitBytes });
    const message = await refusal(() => load(predicted.total - 1), /memory|limit/i);
    (await load(predicted.total))[Symbol.dispose]();
    return `refused below ${predicted.total} bytes: ${message.split("\n", 1)[0]}`;
  });
}
