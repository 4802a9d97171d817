/** Runs a plan natively and by the reference, on the same random values, and compares every output and state. */
import { performance } from "node:perf_hooks";
import type { Plan, PlanDtype } from "@weft/compiler";
import type { Executable, InputArray, OutputArray, Weight } from "@weft/runtime";
import { cpuDevice, describeCpu } from "@weft/runtime-cpu";
import * as assert from "uvu/assert";
import { type Buffers, referenceRun } from "./reference.ts";
import { roundTo } from "./reference-values.ts";

/** A small generator with a seed: the same values in every run. */
export function randomSource(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Values as the bytes of a dtype. */
export function encode(dtype: PlanDtype, values: Float32Array): Uint8Array {
  if (dtype === "f32") return new Uint8Array(values.slice().buffer);
  if (dtype === "i32") return new Uint8Array(Int32Array.from(values).buffer);
  const bits = new Uint16Array(values.length);
  const view = new DataView(new ArrayBuffer(4));
  values.forEach((value, i) => {
    if (dtype === "bf16") {
      view.setFloat32(0, value);
      bits[i] = view.getUint16(0);
    } else bits[i] = f16Bits(value);
  });
  return new Uint8Array(bits.buffer);
}

/** Bits of a value that f16 holds exactly. */
function f16Bits(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (magnitude === Number.POSITIVE_INFINITY) return sign | 0x7c00;
  const exponent = Math.max(Math.floor(Math.log2(magnitude || 2 ** -24)), -14);
  const mantissa = magnitude / 2 ** (exponent - 10);
  return mantissa < 1024 ? sign | mantissa : sign | ((exponent + 15) << 10) | (mantissa - 1024);
}

export interface Case {
  readonly plan: Plan;
  readonly program: string;
  readonly symbols: Record<string, number>;
  /** Integer inputs are below this. */
  readonly tokens?: number;
}

/** Random contents for every buffer; weights and state as their dtype can hold them. */
export function randomBuffers(plan: Plan, seed: number, tokens = 7): Buffers {
  const random = randomSource(seed);
  return plan.buffers.map((buffer) => {
    const size = buffer.shape.reduce((product, extent) => product * extent, 1);
    return Float32Array.from({ length: size }, () =>
      buffer.dtype === "i32"
        ? Math.floor(random() * tokens)
        : buffer.class === "weights" || buffer.class === "input"
          ? roundTo(buffer.dtype, (random() + random() + random()) * 1.2 - 1.8)
          : 0,
    );
  });
}

export function weightsOf(plan: Plan, buffers: Buffers): Record<string, Weight> {
  return Object.fromEntries(
    plan.buffers.flatMap((buffer, i) =>
      buffer.class === "weights"
        ? [
            [
              buffer.name,
              {
                kind: "data",
                data: encode(buffer.dtype, buffers[i]!),
                dtype: buffer.dtype,
                shape: buffer.shape,
              },
            ],
          ]
        : [],
    ),
  );
}

/** Inputs as the program's ports want them, cut from the buffers. */
export function inputsOf(
  one: Case,
  buffers: Buffers,
  symbols: readonly number[],
): Record<string, InputArray> {
  const program = one.plan.programs.find(({ name }) => name === one.program)!;
  return Object.fromEntries(
    program.inputs.map((port) => {
      const size = port.shape.reduce(
        (product, extent) =>
          product *
          extent.terms.reduce((sum, term) => sum + term.factor * symbols[term.symbol]!, extent.constant),
        1,
      );
      const values = buffers[port.buffer]!.subarray(0, size);
      return [
        port.name,
        one.plan.buffers[port.buffer]!.dtype === "i32" ? Int32Array.from(values) : Float32Array.from(values),
      ];
    }),
  );
}

/** Largest difference, relative to the larger of the two or 1. */
export function difference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < actual.length; i++) {
    const [a, b] = [actual[i]!, expected[i]!];
    if (Object.is(a, b) || a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    const error = Math.abs(a - b) / Math.max(1, Math.abs(a), Math.abs(b));
    most = Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(most, error);
  }
  return most;
}

export interface CompareOptions {
  readonly tolerance?: number;
  readonly threads?: readonly number[];
  readonly isas?: readonly string[];
  readonly seed?: number;
}

/** All instruction sets by default, with one thread; then more threads, which must give the same bits. */
export async function compare(one: Case, options: CompareOptions = {}): Promise<Executable["plan"]> {
  const { symbolValues } = await import("./reference.ts");
  const symbols = symbolValues(one.plan, one.symbols);
  const expected = randomBuffers(one.plan, options.seed ?? 1, one.tokens);
  const weights = weightsOf(one.plan, expected);
  const inputs = inputsOf(one, expected, symbols);
  referenceRun(one.plan, one.program, one.symbols, expected);
  const ports = one.plan.programs.find(({ name }) => name === one.program)!.outputs;
  for (const isa of options.isas ?? describeCpu().available) {
    let first: Readonly<Record<string, OutputArray>> | undefined;
    for (const threads of options.threads ?? [1, 2, 3, 8]) {
      using device = cpuDevice({ threads, isa });
      using executable = await device.load(one.plan, weights);
      const { outputs } = await executable.run(one.program, { symbols: one.symbols, inputs });
      for (const port of ports) {
        const actual = outputs[port.name]!;
        const wanted = expected[port.buffer]!.subarray(0, actual.length);
        const error = difference(actual, wanted);
        assert.ok(
          error <= (options.tolerance ?? 1e-5),
          `${one.plan.name} ${isa} ${threads} threads: ${port.name} differs by ${error}: ${[...actual.slice(0, 8)]} not ${[...wanted.slice(0, 8)]}`,
        );
        if (first !== undefined)
          assert.equal(
            new Uint8Array(actual.buffer),
            new Uint8Array(first[port.name]!.buffer),
            `${one.plan.name} ${isa}: ${threads} threads give other bits`,
          );
      }
      first ??= outputs;
    }
  }
  return one.plan;
}

/** Milliseconds of the event loop's worst delay while a promise settles. */
export async function worstDelay(work: Promise<unknown>): Promise<number> {
  let worst = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    worst = Math.max(worst, now - last);
    last = now;
  }, 1);
  await work;
  clearInterval(timer);
  return worst;
}
