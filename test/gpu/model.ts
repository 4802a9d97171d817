/** A fixture on the device under test and on the CPU, with the oracle's figures. */
import { orThrow } from "@weft/dsl";
import { loadQwen3, openQwen3, type PreparedQwen3, prepareQwen3, type Qwen3 } from "@weft/qwen3";
import type { CudaDevice } from "@weft/runtime-cuda";
import { type oracleNames, oracleOf } from "../parity/oracle.ts";
import { rootMeanSquareDifference } from "../support/largest-difference.ts";

export type FixtureName = (typeof oracleNames)[number];
export type Dtype = "f32" | "bf16";

export interface Subject {
  readonly title: string;
  readonly dtype: Dtype;
  readonly oracle: ReturnType<typeof oracleOf>;
  readonly prepared: PreparedQwen3;
  /** On the device under test. */
  readonly gpu: Qwen3;
  readonly cpu: Qwen3;
  [Symbol.dispose](): void;
}

/** One plan for all that is checked: compiling kernels is most of the time. */
export async function openSubject(
  device: CudaDevice,
  name: FixtureName,
  dtype: Dtype,
  capacity: number,
): Promise<Subject> {
  const oracle = oracleOf(name);
  const options = { capacity, chunk: oracle.tokens.length, logits: "all", dtype } as const;
  const prepared = orThrow(prepareQwen3(oracle.directory, { ...options, record: false, planCache: false }));
  const gpu = await loadQwen3(prepared, device);
  try {
    const cpu = await openQwen3(oracle.directory, { ...options, threads: 2, planCache: false });
    return {
      title: `${name} ${dtype}`,
      dtype,
      oracle,
      prepared,
      gpu,
      cpu,
      [Symbol.dispose]() {
        gpu[Symbol.dispose]();
        cpu[Symbol.dispose]();
      },
    };
  } catch (error) {
    gpu[Symbol.dispose]();
    throw error;
  }
}

type Rows = readonly ArrayLike<number>[];

/** The root mean square of the difference, relative to that of the expected values. NaN where one is no number. */
export const relativeDifference = (actual: Rows, expected: Rows): number =>
  rootMeanSquareDifference(actual, expected) / rootMeanSquareDifference(expected);

/** Where the largest value of each row lies. */
export const likeliest = (rows: Rows): number[] =>
  rows.map((row) => {
    let best = 0;
    for (let i = 1; i < row.length; i++) if (row[i]! > row[best]!) best = i;
    return best;
  });

/** Tokens that do not repeat quickly: a fixed walk through the vocabulary. */
export const someTokens = (count: number, vocab: number): number[] =>
  Array.from({ length: count }, (_, index) => (index * 131 + 17) % Math.min(vocab, 251));
