/** Changes of equal layers are one change: the number of the layer is taken out of paths and names. */
import { type Layer, layerOf } from "@weft/dsl";

/** The layer of the first path that lies in one. */
export function commonLayer(paths: readonly string[]): Layer | undefined {
  for (const path of paths) {
    const layer = layerOf(path);
    // A number that nothing stands before cannot be told from any other number in a text.
    if (layer !== undefined && layer.prefix !== "") return layer;
  }
  return undefined;
}

const patterns = new Map<string, RegExp>();

/** A text with layers counted from this one: `model.layers.*.mlp`, `model.layers.*+1.mlp`. */
export function relativeTo(layer: Layer | undefined, text: string): string {
  if (layer === undefined) return text;
  const { prefix, number } = layer;
  let pattern = patterns.get(prefix);
  if (pattern === undefined) {
    const literal = prefix.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    pattern = new RegExp(`(?<!\\w)${literal}(\\d{1,9})(?!\\w)`, "g");
    patterns.set(prefix, pattern);
  }
  return text.replace(pattern, (_, digits: string) => {
    const distance = Number(digits) - number;
    return `${prefix}*${distance === 0 ? "" : distance > 0 ? `+${distance}` : distance}`;
  });
}

/** `model.layers.*.mlp` of these layers: `model.layers.{0..35}.mlp`. */
export function withLayers(path: string, layers: readonly number[]): string {
  const [only, ...others] = layers;
  if (only === undefined) return path;
  return others.length === 0
    ? path.replace(/\*([+-]\d+)?/, (_, distance: string | undefined) => String(only + Number(distance ?? 0)))
    : path.replace(/\*(?![+-]\d)/, () => rangesOf(layers));
}

/** `{0..3,5}`. */
function rangesOf(numbers: readonly number[]): string {
  const ranges: [first: number, last: number][] = [];
  for (const one of numbers) {
    const open = ranges.at(-1);
    if (open !== undefined && open[1] + 1 === one) open[1] = one;
    else ranges.push([one, one]);
  }
  return `{${ranges.map(([first, last]) => (first === last ? first : `${first}..${last}`)).join(",")}}`;
}

/** One change for each key, in the order of their first ones. */
export function foldChanges<A, B>(
  changes: readonly { readonly key: string; readonly layer: Layer | undefined; readonly change: A }[],
  fold: (same: readonly [A, ...A[]], folded: { layers: readonly number[]; times: number }) => B,
): B[] {
  const found = new Map<string, { layers: Set<number>; same: A[] }>();
  for (const { key, layer, change } of changes) {
    const whole = `${layer?.prefix ?? ""}|${key}`;
    const entry = found.get(whole) ?? { layers: new Set<number>(), same: [] };
    found.set(whole, entry);
    if (layer !== undefined) entry.layers.add(layer.number);
    entry.same.push(change);
  }
  return [...found.values()].map(({ layers, same }) =>
    fold(same as [A, ...A[]], { layers: [...layers].sort((a, b) => a - b), times: same.length }),
  );
}
