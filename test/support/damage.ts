/** Random damage to plain data: what readers and checks must survive. */
export type Path = (string | number)[];

/** Paths of all numbers and strings. */
export function leaves(value: unknown, path: Path = []): Path[] {
  if (typeof value === "number" || typeof value === "string") return [path];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    leaves(inner, [...path, Array.isArray(value) ? Number(key) : key]),
  );
}

export function valueAt(holder: unknown, path: Path): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<string | number, unknown>)[key], holder);
}

const integers = [
  0,
  1,
  -1,
  2,
  3,
  7,
  8,
  15,
  16,
  17,
  64,
  255,
  256,
  4096,
  65536,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32,
  2 ** 46,
  2 ** 53 - 1,
  1 - 2 ** 53,
];

/** Changes one leaf in place; tells what. */
export function mutate(plan: unknown, paths: readonly Path[], random: () => number): string {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const path = pick(paths);
  const old = valueAt(plan, path);
  // Damaged before, to something that has no neighbours.
  if (typeof old !== "number" && typeof old !== "string") return "nothing";
  let value: unknown;
  if (typeof old === "number") {
    const kind = Math.floor(random() * 8);
    if (kind < 2) value = old + (random() < 0.5 ? 1 : -1);
    else if (kind === 2) value = old * 2;
    else if (kind === 3) value = -old;
    else if (kind === 4) value = pick(integers);
    else if (kind === 5) value = Math.floor(random() * 40);
    else if (kind === 6)
      value = valueAt(plan, pick(paths.filter((other) => typeof valueAt(plan, other) === "number")));
    else value = pick([0.5, Number.NaN, Number.POSITIVE_INFINITY, "1", null, [], {}, undefined, true]);
  } else {
    // Another word of the plan, often one that fits: a dtype, a class, a kind.
    value = pick([
      valueAt(plan, pick(paths.filter((other) => typeof valueAt(plan, other) === "string"))),
      "",
      3,
      null,
      "f16",
      "bf16",
      "update",
    ]);
  }
  (valueAt(plan, path.slice(0, -1)) as Record<string | number, unknown>)[path.at(-1)!] = value;
  return `${path.join(".")}: ${String(old)} -> ${String(value)}`;
}
