/**
 * Equal layers are compiled once. A model is compiled with `patternLayers` layers, and the steps of the second one are
 * repeated for the rest: the first layer may differ (it computes what all of them share), and so may the last one
 * (nobody reads its cache, or it computes one position only).
 *
 * The second and the third layer of the short plan must be the same steps on buffers that correspond one to one. Then
 * by induction a further copy of them computes a further layer: it reads what the copy before it left, as the third
 * layer reads what the second one left. The result equals the plan of the whole model, which a test asserts, because
 * passes and fusion decide by what is near; where the short plan shows no such pattern, nothing is repeated.
 */
import type { Plan, PlanBuffer, PlanProgram, PlanStep } from "./types.ts";

export interface LayerRepeat {
  /** The path of the repeated blocks: `model.layers`. */
  readonly path: string;
  /** Layers of the whole model; the plan at hand has `patternLayers`. */
  readonly layers: number;
}

/** First, second, third, last. */
export const patternLayers = 4;

/**
 * Repeats the middle layer of a plan whose memory is not laid out yet.
 * @returns the plan of the whole model, or undefined where the middle layers do not follow one pattern.
 */
export function repeatLayers(plan: Plan, { path, layers }: LayerRepeat): Plan | undefined {
  const copies = layers - patternLayers;
  if (copies < 0) return undefined;
  const layerPath = new LayerPath(path);
  const patterns: Pattern[] = [];
  const links = new Links(plan.buffers);
  for (const program of plan.programs) {
    const pattern = findPattern(program, layerPath, links);
    if (pattern === undefined) return undefined;
    patterns.push(pattern);
  }
  const ports = plan.programs.flatMap((one) => [...one.inputs, ...one.outputs]);
  const chains = links.chains();
  if (chains === undefined || ports.some((one) => chains.has(one.buffer))) return undefined;
  const grown = growBuffers(plan, chains, copies);
  patterns.forEach((pattern, at) => {
    renameTail(plan, plan.programs[at]!, pattern, chains, grown, { layerPath, copies });
  });
  const programs = plan.programs.map((program, at) =>
    repeatSteps(program, patterns[at]!, chains, grown, { layerPath, copies }),
  );
  return { ...plan, buffers: grown.buffers, programs };
}

/** Where the second and third layer of a program lie: steps [second, third), [third, tail), then [tail, end). */
interface Pattern {
  readonly second: number;
  readonly third: number;
  readonly tail: number;
}

/** Reads and shifts the layer's number in paths and names below a path. */
class LayerPath {
  readonly #start: string;

  constructor(path: string) {
    this.#start = `${path}.`;
  }

  layerOf(name: string): number | undefined {
    if (!name.startsWith(this.#start)) return undefined;
    const number = Number.parseInt(name.slice(this.#start.length), 10);
    return Number.isNaN(number) ? undefined : number;
  }

  /** The same name `by` layers further, for layers from `from` on. */
  shift(name: string, by: number, from = 0): string {
    const layer = this.layerOf(name);
    if (layer === undefined || layer < from) return name;
    return this.#start + (layer + by) + name.slice(this.#start.length + String(layer).length);
  }
}

function layerOfStep(step: PlanStep, layerPath: LayerPath): number | undefined {
  const layers = step.origins.map((one) => layerPath.layerOf(one)).filter((one) => one !== undefined);
  return layers.length === 0 ? undefined : Math.min(...layers);
}

function findPattern(program: PlanProgram, layerPath: LayerPath, links: Links): Pattern | undefined {
  const [second, third, tail] = [1, 2, 3].map((layer) =>
    program.steps.findIndex((step) => layerOfStep(step, layerPath) === layer),
  ) as [number, number, number];
  const length = third - second;
  if (second < 0 || length <= 0 || tail - third !== length) return undefined;
  for (let at = second; at < third; at++) {
    const [one, next] = [program.steps[at]!, program.steps[at + length]!];
    const sameStep =
      one.kernel === next.kernel &&
      one.origins.length === next.origins.length &&
      one.origins.every((origin, index) => layerPath.shift(origin, 1) === next.origins[index]);
    if (!sameStep) return undefined;
    const linked = one.bindings.every((buffer, slot) => links.link(buffer, next.bindings[slot]!));
    if (!linked) return undefined;
  }
  return { second, third, tail };
}

/** The place of a buffer among those that take the same part in consecutive layers. */
interface Member {
  readonly root: number;
  readonly generation: number;
}

/** Which buffer of the third layer corresponds to which of the second. */
class Links {
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

interface Grown {
  readonly buffers: PlanBuffer[];
  /** The new index of each old buffer. */
  readonly moved: readonly number[];
  /** New indices of a chain's buffers, by root and generation. */
  readonly byRoot: ReadonlyMap<number, readonly number[]>;
  /** How far apart the node numbers of consecutive layers are: by a buffer's index in the old plan. */
  readonly strideOf: (buffer: number) => number | undefined;
}

/** Adds the buffers of the further layers, each layer's behind those of the layer before, as if all had been compiled. */
function growBuffers(plan: Plan, chains: ReadonlyMap<number, Member>, copies: number): Grown {
  const lengths = new Map<number, number>();
  const idAt = new Map<string, number>();
  for (const [id, { root, generation }] of chains) {
    lengths.set(root, Math.max(lengths.get(root) ?? 0, generation + 1));
    idAt.set(`${root}:${generation}`, id);
  }
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
    const isLast = member !== undefined && member.generation === lengths.get(member.root)! - 1;
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

interface Shift {
  readonly layerPath: LayerPath;
  readonly copies: number;
}

/**
 * Buffers of the last layer and of what follows it get the names that they have in the whole model; some of the last
 * layer's are computed early, as all positions' cosines are.
 */
function renameTail(
  plan: Plan,
  program: PlanProgram,
  { tail }: Pattern,
  chains: ReadonlyMap<number, Member>,
  grown: Grown,
  { layerPath, copies }: Shift,
): void {
  const early = new Set(program.steps.slice(0, tail).flatMap((one) => one.bindings));
  const bound = new Set(program.steps.flatMap((one) => one.bindings));
  const stride = [...bound].map(grown.strideOf).find((one) => one !== undefined) ?? 0;
  for (const id of bound) {
    // From the old name: two programs that share a weight come here twice.
    const { name } = plan.buffers[id]!;
    const follows = (layerPath.layerOf(name) ?? 0) >= patternLayers - 1 || !early.has(id);
    if (chains.has(id) || !follows) continue;
    grown.buffers[grown.moved[id]!]!.name = layerPath
      .shift(name, copies)
      .replace(/%(\d+)$/, (_, digits) => `%${Number(digits) + copies * stride}`);
  }
}

function repeatSteps(
  program: PlanProgram,
  { second, third, tail }: Pattern,
  chains: ReadonlyMap<number, Member>,
  { moved, byRoot }: Grown,
  { layerPath, copies }: Shift,
): PlanProgram {
  /** The buffer that takes the part of `id` `by` layers further on. */
  const bufferAt = (id: number, by: number) => {
    const member = chains.get(id);
    return member === undefined ? moved[id]! : byRoot.get(member.root)![member.generation + by]!;
  };
  const shifted = (step: PlanStep, by: number, pathsBy: number, pathsFrom: number): PlanStep => ({
    kernel: step.kernel,
    bindings: step.bindings.map((id) => bufferAt(id, by)),
    origins: step.origins.map((one) => layerPath.shift(one, pathsBy, pathsFrom)),
  });
  const last = patternLayers - 1;
  const head = program.steps.slice(0, second).map((step) => shifted(step, 0, copies, last));
  const pattern = program.steps.slice(second, third);
  const layers = Array.from({ length: copies + 2 }, (_, copy) =>
    pattern.map((step) => shifted(step, copy, copy, 1)),
  );
  // What the last layer reads of the one before it is now further on.
  const rest = program.steps.slice(tail).map((step) => shifted(step, copies, copies, last - 1));
  const steps = [...head, ...layers.flat(), ...rest];
  const port = <P extends { buffer: number }>(one: P): P => ({ ...one, buffer: moved[one.buffer]! });
  return { name: program.name, inputs: program.inputs.map(port), outputs: program.outputs.map(port), steps };
}
