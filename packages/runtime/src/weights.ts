/** Where a device gets a plan's weights from, and the check that all of them are there and fit. */
import type { PlanDtype } from "@weft/compiler";
import { type Problem, userProblem, WeftError } from "@weft/dsl";
import { isKeptAsIs } from "./states.ts";

/**
 * Values in a file, row-major, little-endian: mapped without a copy where the plan wants the same dtype. While they are
 * mapped, the file must not be cut short or written in place (replacing it by renaming is fine): the system ends a
 * process that reads a mapped page which is no longer there.
 */
export interface FileWeight {
  readonly kind: "file";
  readonly path: string;
  /** Where the values begin, in bytes. */
  readonly offset: number;
  readonly bytes: number;
  readonly dtype: PlanDtype;
  readonly shape: readonly number[];
  /** Of nvfp4, whose values are codes (two elements a byte): where the scales of its blocks are, one byte each. */
  readonly scales?: FilePart;
}

export interface FilePart {
  readonly path: string;
  readonly offset: number;
  readonly bytes: number;
}

/** Values in memory: always copied. bf16 and f16 are bit patterns of two bytes, f8e4m3 of one. */
export interface DataWeight {
  readonly kind: "data";
  readonly data: ArrayBufferView;
  readonly dtype: PlanDtype;
  readonly shape: readonly number[];
  /** Of nvfp4, whose data are codes: the scales of its blocks. */
  readonly scales?: Uint8Array;
}

export type Weight = FileWeight | DataWeight;

/** Names are those of the plan's weights buffers: the parameters' paths. */
export type WeightSource = ((name: string) => Weight | undefined) | Readonly<Record<string, Weight>>;

/** What a plan wants of one weight. */
export interface WantedWeight {
  /** Index into `Plan.buffers`. */
  readonly buffer: number;
  readonly name: string;
  readonly dtype: PlanDtype;
  readonly shape: readonly number[];
}

export type BoundWeight = Weight & { readonly buffer: number };

const bytesOf = { f32: 4, bf16: 2, f16: 2, f8e4m3: 1, nvfp4: 0.5, i32: 4, i8: 1 } satisfies Record<
  PlanDtype,
  number
>;

/** Finds every weight; lists all that are missing or do not fit at once. */
export function bindWeights(
  wanted: readonly WantedWeight[],
  source: WeightSource,
): { bound: BoundWeight[]; problems: Problem[] } {
  const bound: BoundWeight[] = [];
  const problems: Problem[] = [];
  for (const want of wanted) {
    const found =
      typeof source === "function"
        ? source(want.name)
        : Object.hasOwn(source, want.name)
          ? source[want.name]
          : undefined;
    const problem = found === undefined ? missing(want) : misfit(want, found);
    if (problem !== undefined) problems.push(problem);
    else if (found !== undefined) bound.push({ ...found, buffer: want.buffer });
  }
  return { bound, problems };
}

/** As bindWeights. @throws WeftError with all problems. */
export function boundWeights(wanted: readonly WantedWeight[], source: WeightSource): BoundWeight[] {
  const { bound, problems } = bindWeights(wanted, source);
  const [first, ...rest] = problems;
  if (first !== undefined) throw new WeftError([first, ...rest]);
  return bound;
}

function missing(want: WantedWeight): Problem {
  return userProblem("weights", `the plan needs ${want.dtype} [${want.shape.join(", ")}]`, {
    given: "nothing",
    path: want.name,
  });
}

function misfit(want: WantedWeight, found: Weight): Problem | undefined {
  const refuse = (requirement: string, given: string) =>
    userProblem("weights", requirement, {
      given,
      path: want.name,
      ...(found.kind === "file" ? { location: found.path } : {}),
    });
  const same =
    want.shape.length === found.shape.length && want.shape.every((size, i) => size === found.shape[i]);
  if (!same) return refuse(`the shape must be [${want.shape.join(", ")}]`, `[${found.shape.join(", ")}]`);
  const isConverted = want.dtype !== found.dtype;
  if (isConverted && [want.dtype, found.dtype].some(isKeptAsIs))
    return refuse(`the dtype must be convertible to ${want.dtype}`, found.dtype);
  const bytes = want.shape.reduce((product, size) => product * size, bytesOf[found.dtype]);
  const given = found.kind === "file" ? found.bytes : found.data.byteLength;
  if (given !== bytes) return refuse(`the values must take ${bytes} bytes`, String(given));
  if (found.dtype !== "nvfp4") return undefined;
  const scaleBytes = bytes / 8;
  const scales = found.kind === "file" ? found.scales?.bytes : found.scales?.byteLength;
  return scales === scaleBytes
    ? undefined
    : refuse(`the scales must take ${scaleBytes} bytes`, scales === undefined ? "none" : String(scales));
}
