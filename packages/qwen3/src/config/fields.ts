/**
 * Typed access to the keys of a JSON object. Every reader returns its own problems, so that `sequenceS(collecting)`
 * reports all wrong keys of a file at once.
 */

import { nearestName } from "@weft/dsl";
import * as Either from "fp-ts/lib/Either.js";
import type { JsonObject } from "./json-file.ts";
import { type Checked, refuse, showGiven } from "./problems.ts";

export interface IntegerRange {
  readonly least: number;
  readonly most: number;
}

export interface Fields {
  readonly file: string;
  readonly object: JsonObject;
  /** Whether the key is there with a value other than null. */
  has(key: string): boolean;
  get(key: string): unknown;
  /** An integer within the range. `fallback` is for an absent key or null; without one the key must be there. */
  integer(key: string, range: IntegerRange, fallback?: number): Checked<number>;
  /** A finite number above zero and at most `most`. */
  positive(key: string, most: number): Checked<number>;
  boolean(key: string, fallback: boolean): Checked<boolean>;
  text(key: string, fallback?: string): Checked<string>;
}

const kindOf = (value: unknown) =>
  value === null ? "null" : Array.isArray(value) ? "a list" : `a ${typeof value}`;

/** `"64" (a string)`: for JSON a string of digits looks deceptively like a number. */
const describe = (value: unknown) =>
  typeof value === "number" ? showGiven(value) : `${showGiven(value)} (${kindOf(value)})`;

/**
 * @param known all keys that have a meaning, so that a misspelt one can be told from a foreign one
 */
export function fieldsOf(object: JsonObject, file: string, known: ReadonlySet<string>): Fields {
  const foreign = Object.keys(object).filter((key) => !known.has(key));
  const get = (key: string): unknown => (Object.hasOwn(object, key) ? object[key] : undefined);
  const has = (key: string) => get(key) !== undefined && get(key) !== null;

  const missing = (key: string, requirement: string): Checked<never> => {
    const misspelt = nearestName(key, foreign);
    return refuse(file, requirement, {
      given: Object.hasOwn(object, key) ? "null" : "no such key",
      remedy:
        misspelt === undefined
          ? `add "${key}" to the file, or fetch it again`
          : `did you mean "${key}" where it says "${misspelt}"? Rename that key`,
    });
  };

  return {
    file,
    object,
    get,
    has,
    integer(key, { least, most }, fallback) {
      const requirement = `${key} must be an integer from ${least} to ${most}`;
      const value = get(key);
      if (!has(key)) return fallback === undefined ? missing(key, requirement) : Either.right(fallback);
      return typeof value === "number" && Number.isInteger(value) && value >= least && value <= most
        ? Either.right(value)
        : refuse(file, requirement, {
            given: describe(value),
            remedy: `correct "${key}" in the file`,
          });
    },
    positive(key, most) {
      const requirement = `${key} must be a number above 0 and at most ${most}`;
      const value = get(key);
      if (!has(key)) return missing(key, requirement);
      return typeof value === "number" && value > 0 && value <= most
        ? Either.right(value)
        : refuse(file, requirement, {
            given: describe(value),
            remedy: `correct "${key}" in the file`,
          });
    },
    boolean(key, fallback) {
      const value = get(key);
      if (!has(key)) return Either.right(fallback);
      return typeof value === "boolean"
        ? Either.right(value)
        : refuse(file, `${key} must be true or false`, {
            given: describe(value),
            remedy: `correct "${key}" in the file`,
          });
    },
    text(key, fallback) {
      const requirement = `${key} must be a string`;
      const value = get(key);
      if (!has(key)) return fallback === undefined ? missing(key, requirement) : Either.right(fallback);
      return typeof value === "string"
        ? Either.right(value)
        : refuse(file, requirement, {
            given: describe(value),
            remedy: `correct "${key}" in the file`,
          });
    },
  };
}

/** Token ids: absent, null, one number or a list of numbers, each in `[0, limit)`. */
export function tokenIds(fields: Fields, key: string, limit: number): Checked<readonly number[]> {
  const value = fields.get(key);
  if (!fields.has(key)) return Either.right([]);
  const ids: readonly unknown[] = Array.isArray(value) ? value : [value];
  const wrong = ids.find((id) => typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= limit);
  return wrong === undefined
    ? Either.right(ids as readonly number[])
    : refuse(fields.file, `${key} must hold token ids from 0 to ${limit - 1}`, {
        given: describe(wrong),
        remedy: `correct "${key}" in the file, or vocab_size in config.json`,
      });
}
