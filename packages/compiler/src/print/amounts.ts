/** Bytes and counts as a person reads them. */

/** `1.50 MiB`; exact below 10 KiB. */
export function formatBytes(bytes: number): string {
  if (bytes < 10240) return `${bytes} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = bytes / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(2)} ${units[unit]}`;
}

/** `15.00 k`; exact below 10000. With a unit: `15.00 kflop`, `408 flop`. */
export function formatCount(count: number, unitName = ""): string {
  if (count < 1e4) return `${count} ${unitName}`.trimEnd();
  const units = ["k", "M", "G", "T"];
  let value = count / 1000;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value.toFixed(2)} ${units[unit]}${unitName}`;
}
