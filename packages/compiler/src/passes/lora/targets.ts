/** Which linears get an adapter, and the parameters of each: one rule for the pass and for whoever stores adapters. */
import {
  type AnyBlock,
  type Axis,
  asBlock,
  type BlockLike,
  leavesOf,
  maxSize,
  nearestName,
  type OpAttributes,
  type Problem,
  pathPattern,
  unsupportedProblem,
  userProblem,
  WeftError,
} from "@weft/dsl";

export interface LoraOptions {
  /** Columns of A and rows of B: an integer from 1 to the smaller side of each weight. */
  readonly rank: number;
  /** The product of both is scaled by alpha / rank. A number above 0. */
  readonly alpha: number;
  /**
   * Paths of linears, or their ends behind a dot; `*` stands for any characters. Default: every linear that has a
   * weight of its own.
   */
  readonly targets?: readonly string[];
}

/** A linear as a block or a graph has it. */
export interface LinearSite {
  /** Its path: `model.layers.0.self_attn.q_proj`. */
  readonly path: string;
  /** The name of its weight: `PATH.weight`, unless it is shared. */
  readonly weight: string;
  /** Of the weight: [...to, ...from]. */
  readonly axes: readonly Axis[];
  readonly from: readonly string[];
  readonly to: readonly string[];
}

/** A parameter of an adapter, named as PEFT names it, but for the `base_model.model.` in front. */
export interface AdapterParameter {
  readonly name: string;
  readonly axes: readonly Axis[];
}

/** A linear `x W^T` with its adapter: `x W^T + (alpha / rank) (x A^T) B^T`. */
export interface LoraAdapter {
  readonly path: string;
  readonly weight: string;
  /** `PATH.lora_A.weight` [rank, ...from]. */
  readonly a: AdapterParameter;
  /** `PATH.lora_B.weight` [...to, rank]. */
  readonly b: AdapterParameter;
}

/** The axis between A and B. */
export const rankAxis = "loraRank";

/**
 * The adapters that `lora` would add to the graph of a block, in the order of its linears.
 * @throws WeftError as the pass does
 */
export function loraAdapters(block: AnyBlock | BlockLike, options: LoraOptions): readonly LoraAdapter[] {
  const sites = new Map<string, LinearSite>();
  for (const { path, leaf } of leavesOf(asBlock(block, "lora"))) {
    if (leaf.op !== "linear") continue;
    const { name, shared, axes } = leaf.parameters[0]!;
    const { from, to } = leaf.attributes as unknown as OpAttributes["linear"];
    sites.set(path, { path, weight: shared === true ? name : `${path}.${name}`, axes, from, to });
  }
  return adaptersOf([...sites.values()], options);
}

/** @throws WeftError with all that is wrong: rank and alpha, patterns that match nothing, weights that do not fit. */
export function adaptersOf(
  sites: readonly LinearSite[],
  { rank, alpha, targets }: LoraOptions,
): readonly LoraAdapter[] {
  const problems: Problem[] = [];
  const isRank = Number.isSafeInteger(rank) && rank >= 1;
  if (!isRank)
    problems.push(
      userProblem("lora", "the rank must be an integer of at least 1", {
        given: String(rank),
        remedy: "8 or 16 is usual",
      }),
    );
  if (!(Number.isFinite(alpha) && alpha > 0))
    problems.push(
      userProblem("lora", "alpha must be a number above 0", {
        given: String(alpha),
        remedy: "the rank, or twice the rank, is usual",
      }),
    );
  const owned = sites.filter(ownsWeight);
  const chosen = targets === undefined ? owned : selected(sites, targets, problems);
  if (targets === undefined && owned.length === 0)
    problems.push(userProblem("lora", "the graph must have a linear with a weight of its own"));
  for (const { path, axes, to } of isRank ? chosen : []) {
    const [outputs, inputs] = [sizeOf(axes.slice(0, to.length)), sizeOf(axes.slice(to.length))];
    if (rank <= Math.min(inputs, outputs)) continue;
    problems.push(
      userProblem(
        "lora",
        `the rank must be at most ${Math.min(inputs, outputs)}, the smaller side of the weight`,
        {
          given: String(rank),
          path,
          remedy: "choose a smaller rank, or leave this linear out of the targets",
        },
      ),
    );
  }
  const [first, ...rest] = problems;
  if (first !== undefined) throw new WeftError([first, ...rest]);
  return chosen.map((site) => adapterOf(site, rank));
}

function selected(
  sites: readonly LinearSite[],
  targets: readonly string[],
  problems: Problem[],
): readonly LinearSite[] {
  const chosen = new Set<LinearSite>();
  if (targets.length === 0)
    problems.push(userProblem("lora", "the targets must name a linear", { given: "none" }));
  for (const target of targets) {
    const matches = pathPattern(target);
    const found = sites.filter(({ path }) => matches(path));
    for (const site of found) {
      chosen.add(site);
      if (ownsWeight(site)) continue;
      problems.push(
        unsupportedProblem(
          "lora",
          "the linear must have a weight of its own, for merging changes the weight",
          {
            given: `${site.weight}, which is shared`,
            path: site.path,
            remedy: "leave it out of the targets",
          },
        ),
      );
    }
    if (found.length > 0) continue;
    problems.push(
      userProblem("lora", "a target must match a linear", {
        given: JSON.stringify(target),
        remedy: remedyFor(target, sites),
      }),
    );
  }
  return sites.filter((site) => chosen.has(site));
}

/** What was probably meant: the nearest end of a path, else what there is. */
function remedyFor(target: string, sites: readonly LinearSite[]): string {
  const ends = new Set(sites.map(({ path }) => path.split(".").at(-1)!));
  const near = nearestName(target, [...ends, ...sites.map(({ path }) => path)]);
  return near === undefined ? `linears end with ${[...ends].join(", ")}` : `did you mean "${near}"?`;
}

const ownsWeight = ({ path, weight }: LinearSite): boolean => weight === `${path}.weight`;

function adapterOf({ path, weight, axes, from, to }: LinearSite, rank: number): LoraAdapter {
  const middle: Axis = { name: rankAxis, size: rank };
  // In the weight, an axis that stands on both sides has another name than in x.
  const contracted = axes.slice(to.length).map(({ size }, index) => ({ name: from[index]!, size }));
  return {
    path,
    weight,
    a: { name: `${path}.lora_A.weight`, axes: [middle, ...contracted] },
    b: { name: `${path}.lora_B.weight`, axes: [...axes.slice(0, to.length), middle] },
  };
}

const sizeOf = (axes: readonly Axis[]): number =>
  axes.reduce((product, { size }) => product * maxSize(size), 1);
