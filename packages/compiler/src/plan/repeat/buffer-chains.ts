/** Buffers that take the same part in consecutive layers. */
import type { PlanBuffer } from "../types.ts";

/** The place of a buffer among those that take the same part in consecutive layers. */
export interface Member {
  readonly root: number;
  readonly generation: number;
}

/** Which buffer of the third layer corresponds to which of the second. */
export class Links {
  readonly #buffers: readonly PlanBuffer[];
  readonly #next = new Map<number, number>();
  readonly #previous = new Map<number, number>();
  readonly #shared = new Set<number>();

  constructor(buffers: readonly PlanBuffer[]) {
    this.#buffers = buffers;
  }

  /** @returns false where the two cannot take the same part. */
  link(from: number, to: number): boolean {
    if (from === to) {
      this.#shared.add(from);
      return true;
    }
    if ((this.#next.get(from) ?? to) !== to || (this.#previous.get(to) ?? from) !== from) return false;
    this.#next.set(from, to);
    this.#previous.set(to, from);
    const [a, b] = [this.#buffers[from]!, this.#buffers[to]!];
    const repeats = a.class === "weights" || a.class === "state" || a.class === "activations";
    return repeats && a.class === b.class && a.dtype === b.dtype && a.shape.join() === b.shape.join();
  }

  chains(): Map<number, Member> | undefined {
    const members = new Map<number, Member>();
    for (const root of this.#next.keys()) {
      if (this.#previous.has(root)) continue;
      let generation = 0;
      for (let id: number | undefined = root; id !== undefined; id = this.#next.get(id)) {
        if (this.#shared.has(id)) return undefined;
        members.set(id, { root, generation });
        generation++;
      }
    }
    // Members of a circle have no root.
    return members.size === new Set([...this.#next.keys(), ...this.#previous.keys()]).size
      ? members
      : undefined;
  }
}

/** The last generation of each chain, by root. */
export function chainEnds(chains: ReadonlyMap<number, Member>): ReadonlyMap<number, number> {
  const ends = new Map<number, number>();
  for (const { root, generation } of chains.values()) {
    ends.set(root, Math.max(ends.get(root) ?? 0, generation));
  }
  return ends;
}
