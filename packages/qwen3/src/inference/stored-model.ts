/** Where a checkpoint holds each parameter of a model, plain or quantised, and how a plan stores it. */
import { encodeScaleName, inputEncodeScaleName, tensorScaleName } from "@weft/compiler";
import { type Dtype, maxSize, type Parameter } from "@weft/dsl";
import type { DataWeight, FileWeight, Weight } from "@weft/runtime";
import * as Either from "fp-ts/lib/Either.js";
import { type Checked, type Problem, unlessProblems, userProblem } from "../config/problems.ts";
import type { LinearToLoad } from "../quantize/items.ts";
import {
  type BoundWeights,
  bindWeights,
  type Checkpoint,
  type QuantizedLinear,
  type RequiredTensor,
  type StoredScale,
  type TensorDtype,
} from "../weights/index.ts";
import { withConvertedScales } from "./converted-scales.ts";
import type { Formats } from "./formats.ts";
import { storedShape } from "./stored-shape.ts";

export interface StoredModel extends BoundWeights {
  /** Parameters that are stored in NVFP4. */
  readonly linears: ReadonlyMap<string, QuantizedLinear>;
  /** Plain ones that are encoded while they are loaded; all others are among `tensors`. */
  readonly encode: ReadonlyMap<string, LinearToLoad>;
}

/** The stored types that can be computed with. */
const storedDtypes = { F32: "f32", BF16: "bf16", F16: "f16" } as const satisfies Partial<
  Record<TensorDtype, Dtype>
>;

/** The parameters of a model as a plain checkpoint has to hold them. */
export const asStored = (parameters: readonly Parameter[]): RequiredTensor[] =>
  parameters.map(({ name, axes }) => ({
    name,
    shape: storedShape(axes),
    dtypes: Object.keys(storedDtypes) as TensorDtype[],
  }));

/** Left: every parameter that is missing, misshapen or wrongly typed. */
export function bindStored(
  parameters: readonly Parameter[],
  checkpoint: Checkpoint,
  { stored: { linears, plain }, encode, plainHead }: Pick<Formats, "stored" | "encode" | "plainHead">,
): Checked<StoredModel> {
  const required = asStored(parameters);
  const shapes = new Map(required.map(({ name, shape }) => [name, shape]));
  const ownOf = new Map(
    [...encode.values()].filter(({ name }) => shapes.has(name)).map((one) => [one.name, one]),
  );
  const bound = bindWeights(
    required.filter(({ name }) => !linears.has(name)),
    // A head that is encoded from the table has no tensor of its own, nor have the plain rows beside it another name.
    {
      ...checkpoint,
      tensors: new Map([
        ...plain,
        ...[...ownOf].map(([name, { entry }]) => [name, entry] as const),
        ...(plainHead === undefined ? [] : [[plainHead.name, plainHead.entry] as const]),
      ]),
    },
  );
  const problems: Problem[] = Either.isLeft(bound) ? [...bound.left] : [];
  const used = new Map([...linears].filter(([name]) => shapes.has(name)));
  for (const [name, linear] of used) {
    const shape = shapes.get(name)!;
    if (linear.shape.join() === shape.join()) continue;
    problems.push(
      userProblem(linear.codes.path, `must have the shape [${shape.join(", ")}]`, {
        given: `[${linear.shape.join(", ")}]`,
        path: name,
        remedy: "check that config.json belongs to these weights",
      }),
    );
  }
  const { tensors, unused } = Either.getOrElse((): BoundWeights => ({ tensors: new Map(), unused: [] }))(
    bound,
  );
  return unlessProblems(problems, () => ({
    tensors: new Map([...tensors].filter(([name]) => !ownOf.has(name))),
    unused: [...unused, ...[...linears.keys()].filter((name) => !used.has(name))],
    linears: used,
    encode: ownOf,
  }));
}

/** How a plan stores a parameter that is not quantised; scales are f32. */
export function storageOf({ tensors }: BoundWeights, name: string): "f32" | "bf16" | "f16" {
  const entry = tensors.get(name);
  return entry === undefined ? "f32" : storedDtypes[entry.dtype as keyof typeof storedDtypes];
}

/**
 * Files as they are: the device converts what the plan stores otherwise. Shapes are those of the model's axes. Those that are
 * encoded at load are left out.
 */
export function weightSource(parameters: readonly Parameter[], stored: StoredModel): Record<string, Weight> {
  return Object.fromEntries(
    parameters.flatMap(({ name, axes }): [string, Weight][] => {
      const sizes = axes.map(({ size }) => maxSize(size));
      const linear = stored.linears.get(name);
      if (linear !== undefined) return quantizedWeights(name, sizes, linear);
      if (stored.encode.has(name)) return [];
      const entry = stored.tensors.get(name)!;
      const weight: FileWeight = {
        kind: "file",
        path: entry.file,
        offset: entry.begin,
        bytes: entry.end - entry.begin,
        dtype: storageOf(stored, name),
        shape: sizes,
      };
      return [[name, weight]];
    }),
  );
}

function quantizedWeights(
  name: string,
  sizes: readonly number[],
  linear: QuantizedLinear,
): [string, Weight][] {
  const { codes, scales, stored, input, tensorScale } = linear;
  const { path, offset, bytes } = codes;
  const shape = matrixShape(sizes, linear.shape[1]);
  const weight: Weight =
    scales.dtype === "e4m3"
      ? { kind: "file", path, offset, bytes, dtype: "nvfp4", shape, scales }
      : withConvertedScales(linear, shape);
  const found: [string, Weight][] = [[name, weight]];
  const divisorOf = ({ form, value }: StoredScale) => (form === "divide" ? value : encodeScaleFor(value));
  if (stored !== undefined) {
    found.push([tensorScaleName(name), scalar(tensorScale)]);
    found.push([encodeScaleName(name), scalar(divisorOf(stored))]);
  }
  if (input !== undefined) {
    const encodeScale = input.form === "divide" ? input.value : 1 / input.value;
    found.push([inputEncodeScaleName(name), scalar(encodeScale)]);
  }
  return found;
}

/** Of a tensor that is multiplied by 0 any will do. */
const encodeScaleFor = (tensorScale: number) =>
  tensorScale === 0 ? 1 : Math.min(Math.fround(1 / tensorScale), largestF32);
const largestF32 = (2 - 2 ** -23) * 2 ** 127;

export const scalar = (value: number): DataWeight => ({
  kind: "data",
  data: Float32Array.of(value),
  dtype: "f32",
  shape: [],
});

/** The sizes of the axes; those that are contracted together, the last ones, are one. */
export function matrixShape(sizes: readonly number[], columns: number): number[] {
  let [inner, first] = [1, sizes.length];
  while (first > 0 && inner < columns) inner *= sizes[--first]!;
  return [...sizes.slice(0, first), inner];
}
