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
import type { Plan, PlanProgram, PlanStep } from "../types.ts";
import { chainEnds, Links, type Member } from "./buffer-chains.ts";
import { type Grown, growBuffers } from "./grow-buffers.ts";
import { LayerPath } from "./layer-path.ts";

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
  const ends = chainEnds(chains);
  const isLocal = plan.programs.every((program, at) => readsNearest(program, patterns[at]!, chains, ends));
  if (!isLocal) return undefined;
  const grown = growBuffers(plan, chains, ends, copies);
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

/**
 * Whether what is before the pattern touches the first member of a chain only, and what is behind it the last one. Else
 * a skip goes over layers: whether it means the second layer or the last but one, four layers do not tell.
 */
function readsNearest(
  { steps }: PlanProgram,
  { second, tail }: Pattern,
  chains: ReadonlyMap<number, Member>,
  ends: ReadonlyMap<number, number>,
): boolean {
  const all = (part: readonly PlanStep[], allowed: (member: Member) => boolean) =>
    part.every(({ bindings }) =>
      bindings.every((id) => {
        const member = chains.get(id);
        return member === undefined || allowed(member);
      }),
    );
  return (
    all(steps.slice(0, second), ({ generation }) => generation === 0) &&
    all(steps.slice(tail), ({ root, generation }) => generation === ends.get(root))
  );
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
