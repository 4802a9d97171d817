/** Shares as the cells of a table: whoever prints it aligns them. */
import { formatBytes } from "@weft/compiler";
import { listed, type Share } from "./shares.ts";

export const shareColumns = [
  "kind",
  "time",
  "share",
  "steps",
  "bytes",
  "GB/s",
  "GFLOP/s",
  "roofline",
  "balance",
  "origin",
] as const;
export type ShareColumn = (typeof shareColumns)[number];

export interface ShareTable {
  readonly columns: readonly { readonly title: string; readonly align: "left" | "right" }[];
  readonly rows: readonly (readonly string[])[];
}

export interface ShareTableOptions {
  /** Title of the names. */
  readonly title: string;
  /** Default: all but `kind`; `roofline` and `balance` where they are known, `origin` where names do not say it. */
  readonly columns?: readonly ShareColumn[];
}

/** Smaller parts of the time are gathered in one row. */
const least = 0.01;

/**
 * The shares that take at least a hundredth of the time, the rest together, and all.
 * @param all of a program, as `sharesOf` gives them
 */
export function tableOfShares(all: readonly Share[], { title, columns }: ShareTableOptions): ShareTable {
  const total = sumOf("all", all);
  const large = all.filter((one) => one.nanoseconds >= least * total.nanoseconds);
  const small = all.filter((one) => !large.includes(one));
  const rest = small.length < 2 ? small : [sumOf(`${small.length} others`, small)];
  const saysMore = all.some(({ name, blocks }) => listed(blocks, 2) !== name);
  const known: Partial<Record<ShareColumn, boolean>> = {
    kind: false,
    roofline: total.least !== undefined,
    balance: total.busy !== undefined,
    origin: saysMore,
  };
  const shown = columns ?? shareColumns.filter((column) => known[column] ?? true);
  // One unit for the whole column, so that numbers can be compared by eye.
  const unit =
    total.nanoseconds >= 1e7 ? ({ name: "ms", size: 1e6 } as const) : ({ name: "µs", size: 1e3 } as const);
  const titles: Partial<Record<ShareColumn, string>> = { time: unit.name, roofline: "% of roofline" };
  const cells = (one: Share): Record<ShareColumn, string> => ({
    kind: one.kind,
    time: digits(one.nanoseconds / unit.size),
    share: percent(one.nanoseconds / total.nanoseconds),
    steps: String(one.steps),
    bytes: formatBytes(one.bytes),
    "GB/s": rate(one.bytes, one),
    "GFLOP/s": rate(one.operations, one),
    roofline: one.least === undefined ? "" : percent(one.least / one.nanoseconds),
    // Half of it is one of two lanes that waits for the other all the time.
    balance: one.busy === undefined ? "" : percent(one.busy.mean / one.busy.most),
    origin: listed(one.blocks, 2),
  });
  return {
    columns: [
      { title, align: "left" },
      ...shown.map((column) => ({
        title: titles[column] ?? column,
        align: column === "origin" || column === "kind" ? ("left" as const) : ("right" as const),
      })),
    ],
    rows: [...large, ...rest, total].map((one) => [one.name, ...shown.map((column) => cells(one)[column])]),
  };
}

function sumOf(name: string, shares: readonly Share[]): Share {
  const sum = (of: (one: Share) => number) => shares.reduce((total, one) => total + of(one), 0);
  return {
    name,
    kind: "",
    steps: sum(({ steps }) => steps),
    nanoseconds: sum((one) => one.nanoseconds),
    ...(shares.every((one) => one.least === undefined) ? {} : { least: sum((one) => one.least ?? 0) }),
    ...(shares.every((one) => one.busy === undefined)
      ? {}
      : { busy: { mean: sum(({ busy }) => busy?.mean ?? 0), most: sum(({ busy }) => busy?.most ?? 0) } }),
    bytes: sum(({ bytes }) => bytes),
    operations: sum(({ operations }) => operations),
    blocks: [],
  };
}

/** Per nanosecond, which is giga per second. */
const rate = (count: number, { nanoseconds }: Share) =>
  count === 0 || nanoseconds === 0 ? "-" : digits(count / nanoseconds);

/** Three significant digits, no exponent. */
function digits(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

const percent = (share: number) =>
  Number.isFinite(share) ? `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %` : "-";
