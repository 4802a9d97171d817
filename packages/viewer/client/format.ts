/** Numbers for people. Bytes and counts are written as the command writes them. */

export function bytes(count: number): string {
  if (count < 10240) return `${count} B`;
  return scaled(count, 1024, ["KiB", "MiB", "GiB", "TiB"]);
}

export function count(value: number, unit = ""): string {
  if (value < 1e4) return `${value} ${unit}`.trimEnd();
  return scaled(
    value,
    1000,
    ["k", "M", "G", "T", "P"].map((prefix) => prefix + unit),
  );
}

export function seconds(value: number): string {
  if (value >= 1) return `${value.toFixed(2)} s`;
  if (value >= 1e-3) return `${(value * 1e3).toFixed(2)} ms`;
  if (value >= 1e-6) return `${(value * 1e6).toFixed(1)} µs`;
  return `${(value * 1e9).toFixed(value >= 1e-8 ? 0 : 1)} ns`;
}

function scaled(count: number, base: number, units: readonly string[]): string {
  let value = count / base;
  let unit = 0;
  while (value >= base && unit < units.length - 1) {
    value /= base;
    unit++;
  }
  return `${value.toFixed(2)} ${units[unit]}`;
}
