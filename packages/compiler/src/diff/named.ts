/** What both sides know by name: symbols, weights, states, inputs, outputs. */
import { commonLayer, foldChanges, relativeTo } from "./layers.ts";
import type { NamedChange } from "./types.ts";

/** What is compared of each name, as text. */
export type Named = ReadonlyMap<string, string>;

/** Names that only one side has, and those that are something else there; equal ones of several layers as one. */
export function differenceOfNames(kind: NamedChange["kind"], before: Named, after: Named): NamedChange[] {
  const names = [...new Set([...before.keys(), ...after.keys()])];
  const changes = names.flatMap((name) => {
    const [was, is] = [before.get(name), after.get(name)];
    if (was === is) return [];
    const layer = commonLayer([name]);
    const change = {
      kind,
      name: relativeTo(layer, name),
      ...(was === undefined ? {} : { before: was }),
      ...(is === undefined ? {} : { after: is }),
    };
    return [{ key: JSON.stringify(change), layer, change }];
  });
  return foldChanges(changes, ([change], folded) => ({ ...change, ...folded }));
}
