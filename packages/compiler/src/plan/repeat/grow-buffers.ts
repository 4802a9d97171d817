/** The buffers of further layers, with the names that they have in a plan of the whole model. */
import type { Plan, PlanBuffer } from "../types.ts";
import type { Member } from "./buffer-chains.ts";

export interface Grown {
  readonly buffers: PlanBuffer[];
  /** The new index of each old buffer. */
  readonly moved: readonly number[];
  /** New indices of a chain's buffers, by root and generation. */
  readonly byRoot: ReadonlyMap<number, readonly number[]>;
  /** How far apart the node numbers of consecutive layers are: by a buffer's index in the old plan. */
  readonly strideOf: (buffer: number) => number | undefined;
}

/** Adds the buffers of the further layers, each layer's behind those of the layer before, as if all had been compiled. */
export function growBuffers(
  plan: Plan,
  chains: ReadonlyMap<number, Member>,
  ends: ReadonlyMap<number, number>,
  copies: number,
): Grown {
  const idAt = new Map<string, number>();
  for (const [id, { root, generation }] of chains) idAt.set(`${root}:${generation}`, id);
  const buffers: PlanBuffer[] = [];
  const moved: number[] = [];
  const byRoot = new Map<number, number[]>();
  const put = (member: Member | undefined, buffer: PlanBuffer) => {
    if (member !== undefined) {
      const all = byRoot.get(member.root) ?? [];
      all[member.generation] = buffers.length;
      byRoot.set(member.root, all);
    }
    buffers.push(buffer);
    return buffers.length - 1;
  };
  const beforeOf = (id: number) => {
    const { root, generation } = chains.get(id)!;
    return plan.buffers[idAt.get(`${root}:${generation - 1}`)!]!;
  };
  let run: number[] = [];
  const flush = () => {
    for (let copy = 1; copy <= copies; copy++) {
      for (const id of run) {
        const last = plan.buffers[id]!;
        const { root, generation } = chains.get(id)!;
        const name = continueName(beforeOf(id).name, last.name, copy);
        put({ root, generation: generation + copy }, { ...last, name });
      }
    }
    run = [];
  };
  plan.buffers.forEach((buffer, id) => {
    const member = chains.get(id);
    const isLast = member !== undefined && member.generation === ends.get(member.root);
    if (!isLast) flush();
    moved.push(put(member, { ...buffer }));
    if (isLast) run.push(id);
  });
  flush();
  const strideOf = (id: number) => {
    const member = chains.get(id);
    if (member === undefined || member.generation === 0) return undefined;
    const [before, own] = [nodeNumber(beforeOf(id).name), nodeNumber(plan.buffers[id]!.name)];
    return before === undefined || own === undefined ? undefined : own - before;
  };
  return { buffers, moved, byRoot, strideOf };
}

const nodeNumber = (name: string): number | undefined => {
  const found = /%(\d+)$/.exec(name)?.[1];
  return found === undefined ? undefined : Number(found);
};

/** `a.1:add%20`, `a.2:add%30` go on as `a.3:add%40`: every number goes on by its difference. */
function continueName(before: string, last: string, by: number): string {
  const old = before.match(/\d+/g) ?? [];
  let at = 0;
  return last.replace(/\d+/g, (digits) => {
    const step = Number(digits) - Number(old[at++] ?? digits);
    return step === 0 ? digits : String(Number(digits) + by * step);
  });
}
