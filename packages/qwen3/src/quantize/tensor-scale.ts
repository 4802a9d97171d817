/**
 * The scale of a tensor in another format's form. compressed-tensors divides by one number where ModelOpt multiplies by
 * another; each is the other's inverse, rounded to f32, and about one in seven does not come back from that. Where it
 * does not, the file keeps the original beside the tensors, in its metadata, so that nothing is lost on the way back.
 */
import type { Nvfp4Format, StoredScale } from "../weights/index.ts";

/** Key of the metadata; its value is JSON, from the name of a tensor in the other format to its number. */
export const originalsKey = "weft.nvfp4.original_scales";

export interface ConvertedScale {
  readonly value: number;
  /** What is computed with it is exactly what it was. */
  readonly isExact: boolean;
  /** The number comes back only if the file remembers it. */
  readonly isLost: boolean;
}

export const formOf = (format: Exclude<Nvfp4Format, "dat">): StoredScale["form"] =>
  format === "modelopt" ? "multiply" : "divide";

/**
 * @param original what the metadata remembers under the name that the number will have
 * @param used how it is used: weights are multiplied by it; activations by its inverse, which other files divide by
 */
export function convertScale(
  stored: Pick<StoredScale, "value" | "form">,
  form: StoredScale["form"],
  original: number | undefined,
  used: StoredScale["form"] = "multiply",
): ConvertedScale {
  if (stored.form === form) return { value: stored.value, isExact: true, isLost: false };
  const inverse = (value: number) => Math.fround(1 / value);
  // Metadata of other weights, or an edited number, is not believed.
  const value =
    original !== undefined && inverse(original) === stored.value ? original : inverse(stored.value);
  const asUsed = (one: Pick<StoredScale, "value" | "form">) =>
    one.form === used ? one.value : inverse(one.value);
  const isExact = asUsed({ value, form }) === asUsed(stored);
  return { value, isExact, isLost: inverse(value) !== stored.value };
}

/** What a file remembers; nothing where it says nothing, or something else. */
export function originalsOf(metadata: Readonly<Record<string, string>>): ReadonlyMap<string, number> {
  const text = Object.hasOwn(metadata, originalsKey) ? metadata[originalsKey]! : "{}";
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== "object" || parsed === null) return new Map();
    return new Map(
      Object.entries(parsed).filter(
        (entry): entry is [string, number] =>
          typeof entry[1] === "number" && entry[1] === Math.fround(entry[1]),
      ),
    );
  } catch {
    return new Map();
  }
}
