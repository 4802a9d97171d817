/**
 * Which kind of kernel a product with weights is on a device, by its number of rows. What decides is asked, not repeated:
 * the emitter for a GPU. The CPU decides when it runs, by a number that is said here and held against the native code.
 */
import { rowsOf } from "../cuda/kernel.ts";
import { becomesBf16 } from "../cuda/matmul/gemm-tiles.ts";
import { emitMatmul, isGemv } from "../cuda/matmul/index.ts";
import type { Kernel, MatmulKernel } from "../plan/types.ts";

export type DeviceKind = "cpu" | "cuda";

export type ProductKind =
  /** Few rows: each weight is read once and multiplied on its way. */
  | "streamed"
  /** Many rows: tiles, to which weights are unpacked or converted. */
  | "tiles"
  /** A library's product of the weights as they lie. */
  | "library"
  /** Weights become bf16 in scratch, where a library's product reads them. */
  | "dequantised"
  /** Any product by strides. */
  | "general";

export interface ProductWay {
  readonly kind: ProductKind;
  /** It is taken from this many rows on, up to the next way. */
  readonly leastRows: number;
  readonly why: string;
}

/** The most rows of a streamed product on the CPU; `prefer_gemv` and `nvfp4_streamed_rows` of its kernels. */
export const cpuStreamedRows = 8;
/** The same where the processor has tiles for bf16 (AMX), which a plan does not know. */
export const cpuStreamedRowsBeforeTiles = 4;

/** In the order of their rows; only those that the kernel can come to with so many rows at most. */
export function productWays(
  kernel: Kernel,
  device: DeviceKind,
  symbolMax: readonly number[],
): readonly ProductWay[] {
  if (kernel.kind !== "matmul") return [{ kind: "general", leastRows: 1, why: "no matmul template fits it" }];
  const mostRows = rowsOf(kernel, symbolMax);
  const ways = device === "cpu" ? cpuWays(kernel, mostRows) : cudaWays(kernel, symbolMax);
  return ways.filter(({ leastRows }) => leastRows <= mostRows);
}

function cpuWays(kernel: MatmulKernel, mostRows: number): readonly ProductWay[] {
  const most = cpuStreamedRowsBeforeTiles;
  const meetsTiles = mostRows > most && multipliesByTiles(kernel);
  const upTo = meetsTiles ? `, ${most} with AMX` : "";
  const over = meetsTiles ? `, more than ${most} with AMX` : "";
  return [
    { kind: "streamed", leastRows: 1, why: `${rowsUpTo(Math.min(cpuStreamedRows, mostRows))}${upTo}` },
    { kind: "tiles", leastRows: cpuStreamedRows + 1, why: `more than ${cpuStreamedRows} rows${over}` },
  ];
}

const tiledDtypes: ReadonlySet<string> = new Set(["bf16", "f8e4m3", "nvfp4"]);

const multipliesByTiles = ({ inputDtype, orderedSums, groups, slots }: MatmulKernel) =>
  inputDtype === "bf16" &&
  !orderedSums &&
  groups.every(({ weights }) => weights.every((slot) => tiledDtypes.has(slots[slot]!.dtype)));

const rowsUpTo = (rows: number) => (rows === 1 ? "one row" : `up to ${rows} rows`);

function cudaWays(kernel: MatmulKernel, symbolMax: readonly number[]): readonly ProductWay[] {
  if (isGemv(kernel, symbolMax)) return [{ kind: "streamed", leastRows: 1, why: "few rows, and never more" }];
  const tiles: ProductWay = {
    kind: "tiles",
    leastRows: 1,
    why: "the rows may be many, or do not fit shared memory",
  };
  const { library } = emitMatmul(kernel, { name: "k", symbolMax, about: [] });
  if (library === undefined) return [tiles];
  const { leastRows, products } = library;
  const areCodes = kernel.groups.some(({ weights }) =>
    weights.some((slot) => becomesBf16(kernel.slots[slot]!.dtype)),
  );
  const copied = products.filter(({ weight }) => weight.slot < 0).length;
  return [
    tiles,
    {
      kind: areCodes && copied > 0 ? "dequantised" : "library",
      leastRows,
      why: `from ${leastRows} rows on, where a library is there`,
    },
  ];
}
