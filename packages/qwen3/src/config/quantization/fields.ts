/** What several quantisation configurations have in common. */
import * as Either from "fp-ts/lib/Either.js";
import type { JsonObject } from "../json-file.ts";
import { type Checked, refuse, showGiven } from "../problems.ts";

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Numbers as compressed-tensors describes them. Keys that it may leave out have the values of NVFP4. */
export function isNvfp4(value: unknown): boolean {
  return (
    isObject(value) &&
    value.num_bits === 4 &&
    value.type === "float" &&
    value.group_size === 16 &&
    (value.symmetric ?? true) === true
  );
}

export const isEightBitFloat = (value: unknown): boolean =>
  isObject(value) && value.num_bits === 8 && value.type === "float";

/** A list of strings; absent or null is an empty one. */
export function namesOf(value: unknown, key: string, place: string): Checked<readonly string[]> {
  if (value === undefined || value === null) return Either.right([]);
  return Array.isArray(value) && value.every((one) => typeof one === "string")
    ? Either.right(value as readonly string[])
    : refuse(place, `${key} must be a list of strings`, {
        given: showGiven(value),
        remedy: `correct "${key}" in the file`,
      });
}
