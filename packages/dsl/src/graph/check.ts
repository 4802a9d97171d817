/**
 * Small checks of unknown data, for graphs that come from a file or a hand. A check gives the sentence that says what
 * does not fit, or nothing. None of them throws, whatever it is given.
 */
export type Check = (value: unknown, at: string) => string | undefined;

/** A value as an error message shows it: JSON, cut to a readable length. */
export function show(value: unknown): string {
  const whole =
    typeof value === "number" || value === undefined || typeof value === "bigint"
      ? String(value)
      : asJson(value);
  return whole.length > 60 ? `${whole.slice(0, 57)}...` : whole;
}

function asJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? typeof value;
  } catch {
    return typeof value;
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export const text: Check = (value, at) =>
  typeof value === "string" ? undefined : `${at} must be a string, not ${show(value)}`;

/** Any number but NaN, which is equal to nothing. */
export const number: Check = (value, at) =>
  typeof value === "number" && !Number.isNaN(value)
    ? undefined
    : `${at} must be a number, not ${show(value)}`;

export const boolean: Check = (value, at) =>
  typeof value === "boolean" ? undefined : `${at} must be true or false, not ${show(value)}`;

export function integer(low: number): Check {
  return (value, at) =>
    Number.isSafeInteger(value) && (value as number) >= low
      ? undefined
      : `${at} must be an integer of at least ${low}, not ${show(value)}`;
}

export function oneOf(options: readonly string[]): Check {
  return (value, at) =>
    options.includes(value as string)
      ? undefined
      : `${at} must be one of ${options.join(", ")}, not ${show(value)}`;
}

export function listOf(check: Check): Check {
  return (value, at) => {
    if (!Array.isArray(value)) return `${at} must be a list, not ${show(value)}`;
    for (let index = 0; index < value.length; index++) {
      const sentence = check(value[index], `${at}[${index}]`);
      if (sentence !== undefined) return sentence;
    }
    return undefined;
  };
}

/** An object with these keys; `optional` ones may be missing, no others may be there. */
export function recordOf(keys: Readonly<Record<string, Check>>, optional: readonly string[] = []): Check {
  return (value, at) => {
    if (!isRecord(value)) return `${at} must be an object, not ${show(value)}`;
    for (const [key, check] of Object.entries(keys)) {
      if (!Object.hasOwn(value, key) || value[key] === undefined) {
        if (optional.includes(key)) continue;
        return `${at} must have "${key}"`;
      }
      const sentence = check(value[key], `${at}.${key}`);
      if (sentence !== undefined) return sentence;
    }
    const strange = Object.keys(value).find((key) => !Object.hasOwn(keys, key));
    if (strange === undefined) return undefined;
    const known = Object.keys(keys);
    return `${at} must not have "${strange}"${known.length === 0 ? "" : `, only ${known.join(", ")}`}`;
  };
}

/** Remembers frozen values that passed: what cannot change needs no second look. */
export function remembered(check: Check): Check {
  const passed = new WeakSet<object>();
  return (value, at) => {
    const lasting = typeof value === "object" && value !== null && Object.isFrozen(value);
    if (lasting && passed.has(value)) return undefined;
    const sentence = check(value, at);
    if (lasting && sentence === undefined) passed.add(value);
    return sentence;
  };
}
