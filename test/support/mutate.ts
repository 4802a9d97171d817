/** Random damage to plain data, as a hand or a bad disk would do it. */
import fc from "./fast-check.ts";

export interface Mutation {
  /** Which place of the data, counted through all of its values. */
  readonly place: number;
  readonly action: "replace" | "remove" | "copy";
  readonly value: unknown;
}

/** Values that are wrong nearly everywhere. */
const strange = fc.oneof(
  fc.constantFrom(
    undefined,
    null,
    "",
    -1,
    0.5,
    1e9,
    Number.NaN,
    [],
    {},
    true,
    "seq",
    "__proto__",
    "constructor",
  ),
  fc.nat({ max: 40 }),
  fc.jsonValue({ maxDepth: 2 }),
);

export const mutations: fc.Arbitrary<readonly Mutation[]> = fc.array(
  fc.record({
    place: fc.nat({ max: 100_000 }),
    action: fc.constantFrom("replace", "remove", "copy"),
    value: strange,
  }),
  { minLength: 1, maxLength: 3 },
);

/** A deep copy of the data with the mutations applied. */
export function mutate(data: unknown, list: readonly Mutation[]): unknown {
  const root = { data: structuredClone(data) as unknown };
  for (const { place, action, value } of list) {
    const slots = slotsOf(root);
    if (slots.length === 0) break;
    const [holder, key] = slots[place % slots.length]!;
    if (action === "replace") holder[key] = value;
    else if (action === "copy") {
      const [other, otherKey] = slots[(place * 7919) % slots.length]!;
      holder[key] = structuredClone(other[otherKey]);
    } else if (Array.isArray(holder)) holder.splice(Number(key), 1);
    else delete holder[key];
  }
  return root.data;
}

type Holder = Record<string, unknown>;

function slotsOf(value: unknown, slots: [Holder, string][] = []): [Holder, string][] {
  if (typeof value !== "object" || value === null) return slots;
  for (const key of Object.keys(value)) {
    slots.push([value as Holder, key]);
    slotsOf((value as Holder)[key], slots);
  }
  return slots;
}
