/** Plain tables: the first column to the left, all others to the right. */
import { type Share, tableOfShares } from "@weft/runtime";

export function table(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, i) =>
    Math.max(...rows.map((row) => row[i]?.length ?? 0)),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join("  ")
      .trimEnd();
  const [head, ...body] = rows.map(line);
  return [head, "-".repeat(widths.reduce((sum, width) => sum + width + 2, -2)), ...body].join("\n");
}

/** Which kernels take the time, and at what rates. */
export function shareTable(title: string, shares: readonly Share[]): string {
  const { columns, rows } = tableOfShares(shares, {
    title,
    columns: ["kind", "steps", "time", "share", "bytes", "GB/s", "GFLOP/s"],
  });
  return table([columns.map((one) => one.title), ...rows]);
}
