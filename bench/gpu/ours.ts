/** Ours, through the public API, with a captured decode step. */
import { costOf, drawInput, totalCost } from "@weft/compiler";
import { orThrow } from "@weft/dsl";
import { generate, loadQwen3, prepareQwen3, type Qwen3, Sampler } from "@weft/qwen3";
import type { CudaDevice } from "@weft/runtime-cuda";
import { spreadOf } from "../support/statistics.ts";
import type { KernelProfile, KernelTime, Row } from "./rows.ts";
import type { ModelName, Visit } from "./work.ts";

/** The first tokens launch and capture what the others replay. */
const warmTokens = 8;
/** Steps are under way several at a time, so that single tokens come unevenly: they are timed by so many. */
const window = 8;
const prefillSamples = 5;
const profileSamples = 3;

export interface OursOptions {
  readonly device: CudaDevice;
  readonly directory: string;
  readonly tokens: number;
  /** Simulated: as few samples as show that it works. */
  readonly brief: boolean;
  /** True when there is no time left for a further row. */
  readonly isOver: () => boolean;
  readonly onRow: (row: Row) => void;
  readonly onProfile: (profile: KernelProfile) => void;
  readonly say: (text: string) => void;
}

export async function measureOurs(visit: Visit, options: OursOptions): Promise<void> {
  const { directory, device, tokens, isOver, say } = options;
  const count = tokens + warmTokens;
  const largest = Math.max(...visit.contexts, ...visit.prefill, 1);
  const started = performance.now();
  const prepared = orThrow(
    prepareQwen3(directory, {
      // Its outputs are the ones that a start on this device has.
      device,
      dtype: "bf16",
      capacity: largest + count + 1,
      chunk: Math.max(...visit.prefill, Math.min(largest, 512)),
      record: false,
    }),
  );
  // Random weights of our own: that they are finite need not be checked.
  using model = await loadQwen3(prepared, device, { checkWeights: false });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  say(`${visit.model}: compiled and loaded in ${seconds} s, ${model.memory().measured.total} bytes`);
  for (const size of visit.contexts) {
    if (isOver()) return;
    await measureDecode(model, visit.model, size, count, options);
  }
  for (const size of visit.prefill) {
    if (isOver()) return;
    await measurePrefill(model, visit.model, size, options);
  }
  if (!visit.profile) return;
  for (const size of visit.contexts) {
    if (isOver()) return;
    options.onProfile(await profileOf(model, visit.model, "decode", size, options));
  }
  for (const size of visit.prefill) {
    if (isOver()) return;
    options.onProfile(await profileOf(model, visit.model, "prefill", size, options));
  }
}

/** Tokens of a text that does not matter. */
export const textOf = (count: number, vocab: number): number[] =>
  Array.from({ length: count }, (_, index) => (index * 7919 + 13) % Math.min(vocab, 150000));

async function measureDecode(
  model: Qwen3,
  name: ModelName,
  size: number,
  count: number,
  { onRow, tokens }: OursOptions,
): Promise<void> {
  using context = model.createContext();
  const prompt = textOf(size, model.config.vocabSize);
  const times: number[] = [];
  const options = { context, maxTokens: count + 1, temperature: 0, ignoreEos: true, text: false } as const;
  for await (const _ of generate(model, prompt, options)) times.push(performance.now());
  const warm = times.slice(warmTokens);
  const together = Math.min(window, tokens);
  const perToken = warm
    .slice(together)
    .flatMap((time, i) => (i % together === 0 ? [(time - warm[i]!) / together] : []));
  const common = { model: name, who: "weft", size, samples: tokens } as const;
  const { total: memoryBytes } = model.memory().measured;
  const bytesPerToken = bytesOf(model, size);
  const rates = (milliseconds: readonly number[]) => spreadOf(milliseconds.map((one) => 1000 / one))!;
  onRow({ ...common, kind: "decode", tokensPerSecond: rates(perToken), bytesPerToken, memoryBytes });
  // The same step over again: the host waits for it, and takes nothing from the device.
  const steps: number[] = [];
  for (let i = 0; i < count; i++) {
    const started = performance.now();
    await model.executable.run("decode", {
      symbols: { seq: 1, past: size, dropped: 0 },
      inputs: inputsOf(model, Int32Array.of(prompt[i % size]!)),
      outputs: {},
    });
    steps.push(performance.now() - started);
  }
  onRow({
    ...common,
    kind: "step",
    tokensPerSecond: rates(steps.slice(warmTokens)),
    bytesPerToken,
    memoryBytes,
  });
}

/** With a greedy draw, where the device draws tokens. */
function inputsOf({ plan }: Qwen3, tokens: Int32Array): Record<string, Int32Array | Float32Array> {
  const draws = plan.programs.some(({ inputs }) => inputs.some(({ name }) => name === drawInput));
  const draw = orThrow(Sampler.create({ temperature: 0 })).deviceDraw(0);
  return draws ? { tokens, [drawInput]: draw } : { tokens };
}

function bytesOf(model: Qwen3, past: number): number {
  const program = model.plan.programs.find(({ name }) => name === "decode")!;
  const { readBytes, writtenBytes } = totalCost(costOf(model.plan, program, { seq: 1, past, dropped: 0 }));
  return readBytes + writtenBytes;
}

async function measurePrefill(
  model: Qwen3,
  name: ModelName,
  size: number,
  { onRow, brief }: OursOptions,
): Promise<void> {
  using context = model.createContext();
  const prompt = textOf(size, model.config.vocabSize);
  const rates: number[] = [];
  const samples = brief ? 1 : prefillSamples;
  for (let i = 0; i <= samples; i++) {
    context.reset();
    const started = performance.now();
    await context.append(prompt);
    if (i > 0) rates.push((size * 1000) / (performance.now() - started));
  }
  onRow({
    model: name,
    who: "weft",
    kind: "prefill",
    size,
    samples,
    tokensPerSecond: spreadOf(rates)!,
    memoryBytes: model.memory().measured.total,
  });
}

/** The quickest of some runs, so that a moment's disturbance does not show. */
async function profileOf(
  model: Qwen3,
  name: ModelName,
  program: "decode" | "prefill",
  size: number,
  { brief }: OursOptions,
): Promise<KernelProfile> {
  const { plan, executable } = model;
  const isDecode = program === "decode";
  const symbols = { seq: isDecode ? 1 : size, past: isDecode ? size : 0, dropped: 0 };
  const tokens = Int32Array.from(textOf(symbols.seq, model.config.vocabSize));
  const costs = costOf(plan, plan.programs.find((one) => one.name === program)!, symbols);
  let best: KernelTime[] = [];
  for (let i = 0; i < (brief ? 1 : profileSamples); i++) {
    const { steps } = await executable.profile(program, {
      symbols,
      inputs: inputsOf(model, tokens),
      outputs: {},
    });
    const kernels = new Map<string, KernelTime>();
    for (const { kernel, step, nanoseconds } of steps) {
      const sum = kernels.get(kernel) ?? { kernel, steps: 0, seconds: 0, bytes: 0, operations: 0 };
      const cost = costs[step]!;
      kernels.set(kernel, {
        kernel,
        steps: sum.steps + 1,
        seconds: sum.seconds + nanoseconds / 1e9,
        bytes: sum.bytes + cost.readBytes + cost.writtenBytes,
        operations: sum.operations + cost.operations,
      });
    }
    const total = (list: readonly KernelTime[]) => list.reduce((sum, one) => sum + one.seconds, 0);
    if (i === 0 || total([...kernels.values()]) < total(best)) best = [...kernels.values()];
  }
  return { model: name, program, size, kernels: best.toSorted((a, b) => b.seconds - a.seconds) };
}
