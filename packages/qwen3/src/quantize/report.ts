/** What became of each linear. */
import type { StoredWeights } from "../weights/index.ts";
import type { BlockSums } from "./block-statistics.ts";
import type { LinearToEncode } from "./items.ts";
import type { Measured } from "./measure.ts";
import type { Outputs } from "./outputs.ts";

export interface LinearReport {
  /** The parameter. */
  readonly name: string;
  /** [outputs, inputs] */
  readonly shape: readonly number[];
  /** Encoded from numbers, or its codes taken as they were. */
  readonly how: "encoded" | "taken";
  /** Largest magnitude: of what was encoded, or of what the codes stand for. */
  readonly amax: number;
  /** Root of the squared differences over that of the squared weights; undefined where the weights are not known. */
  readonly relativeError: number | undefined;
  /** Share of the blocks whose codes are all zero. */
  readonly zeroBlocks: number;
}

export interface QuantizeReport {
  readonly linears: readonly LinearReport[];
  /** Of the file of weights. */
  readonly bytes: number;
  /** Linears with a scale, of weights or activations, that the other form cannot express: it is off by one rounding of f32. */
  readonly inexact: readonly string[];
  /** Linears whose scales of activations were left out. */
  readonly withoutActivations: readonly string[];
}

interface Facts {
  readonly source: StoredWeights;
  readonly encoded: ReadonlyMap<LinearToEncode, BlockSums>;
  readonly measured: Measured;
  readonly outputs: Outputs;
  readonly written: number;
  readonly activations: boolean;
}

const shareOfZeros = ({ blocks, zeroBlocks }: BlockSums) => (blocks === 0 ? 0 : zeroBlocks / blocks);

export function reportOf({
  source,
  encoded,
  measured,
  outputs,
  written,
  activations,
}: Facts): QuantizeReport {
  const linears: LinearReport[] = [];
  for (const [name, { shape }] of source.linears) {
    const sums = measured.taken.get(name)!;
    linears.push({
      name,
      shape,
      how: "taken",
      amax: sums.amax,
      relativeError: undefined,
      zeroBlocks: shareOfZeros(sums),
    });
  }
  for (const [{ name, entry }, sums] of encoded) {
    linears.push({
      name,
      shape: entry.shape,
      how: "encoded",
      amax: measured.amax.get(name)!,
      relativeError: sums.power === 0 ? 0 : Math.sqrt(sums.error / sums.power),
      zeroBlocks: shareOfZeros(sums),
    });
  }
  const inputs = [...source.linears.values()].filter(({ input }) => input !== undefined);
  return {
    linears,
    bytes: written,
    inexact: outputs.inexact,
    withoutActivations: activations ? [] : inputs.map(({ name }) => name),
  };
}
