/** Where a checkpoint holds each parameter of a model, plain or in NVFP4, and how a plan stores it. */
import {
  type ActivationFormat,
  type FormatReasons,
  inputEncodeScaleName,
  type QuantizedWeight,
  tensorScaleName,
} from "@weft/compiler";
import { type Dtype, maxSize, type Parameter } from "@weft/dsl";
import type { DataWeight, FileWeight, Weight } from "@weft/runtime";
import * as Either from "fp-ts/lib/Either.js";
import type { Qwen3Config } from "../config/index.ts";
import { type Checked, type Problem, unlessProblems, userProblem } from "../config/problems.ts";
import {
  type BoundWeights,
  bindWeights,
  type Checkpoint,
  type QuantizedLinear,
  type RequiredTensor,
  storedWeights,
  type TensorDtype,
} from "../weights/index.ts";
import { withConvertedScales } from "./converted-scales.ts";
import { storedShape } from "./stored-shape.ts";

export interface StoredModel extends BoundWeights {
  /** Parameters that are stored in NVFP4; all others are among `tensors`. */
  readonly linears: ReadonlyMap<string, QuantizedLinear>;
}

/** Whether products quantise their other side as well, where the weight is in NVFP4. */
export type Activations = "plain" | "nvfp4";

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

/**
 * The configuration that the tensors call for: a head in NVFP4 beside the embedding is a head of its own, though the
 * model was tied when it was trained.
 */
export function withOwnHead(config: Qwen3Config, checkpoint: Checkpoint): Qwen3Config {
  if (!config.tiedEmbeddings) return config;
  const stored = storedWeights(checkpoint);
  const hasHead = Either.isRight(stored) && stored.right.linears.has("lm_head.weight");
  return hasHead ? { ...config, tiedEmbeddings: false } : config;
}

/** Left: every parameter that is missing, misshapen or wrongly typed, and every quantised linear that is broken. */
export function bindStored(parameters: readonly Parameter[], checkpoint: Checkpoint): Checked<StoredModel> {
  const stored = storedWeights(checkpoint);
  if (Either.isLeft(stored)) return stored;
  const { linears, plain } = stored.right;
  const required = asStored(parameters);
  const bound = bindWeights(
    required.filter(({ name }) => !linears.has(name)),
    { ...checkpoint, tensors: plain },
  );
  const problems: Problem[] = Either.isLeft(bound) ? [...bound.left] : [];
  const used = new Map<string, QuantizedLinear>();
  for (const { name, shape } of required) {
    const linear = linears.get(name);
    if (linear === undefined) continue;
    used.set(name, linear);
    if (linear.shape.join() === shape.join()) continue;
    problems.push(
      userProblem(linear.codes.path, `must have the shape [${shape.join(", ")}]`, {
        given: `[${linear.shape.join(", ")}]`,
        path: name,
        remedy: "check that config.json belongs to these weights",
      }),
    );
  }
  if (Either.isLeft(bound))
    return unlessProblems(problems, () => ({ tensors: new Map(), unused: [], linears: used }));
  const unused = [...linears.keys()].filter((name) => !used.has(name));
  return unlessProblems(problems, () => ({
    ...bound.right,
    unused: [...bound.right.unused, ...unused],
    linears: used,
  }));
}

/** How a plan stores a parameter that is not in NVFP4; scales of tensors are f32. */
export function storageOf({ tensors }: BoundWeights, name: string): "f32" | "bf16" | "f16" {
  const entry = tensors.get(name);
  return entry === undefined ? "f32" : storedDtypes[entry.dtype as keyof typeof storedDtypes];
}

/** How a plan reads a parameter that is in NVFP4. */
export function quantizedAs(
  { linears }: StoredModel,
  name: string,
  activations: Activations,
): QuantizedWeight | undefined {
  const linear = linears.get(name);
  if (linear === undefined) return undefined;
  const format: ActivationFormat =
    activations === "plain" ? "none" : linear.input === undefined ? "nvfp4" : "nvfp4-scaled";
  return { hasTensorScale: linear.stored !== undefined, activations: format };
}

/** Who has decided how a parameter is stored, and what its products do with their other side. */
export function reasonsOf(stored: StoredModel, name: string, activations: Activations): FormatReasons {
  const linear = stored.linears.get(name);
  if (linear === undefined) return { weight: `the checkpoint has it in ${storageOf(stored, name)}` };
  const scale = linear.input === undefined ? "without a scale of its own" : "by the checkpoint's input scale";
  return {
    weight: `the checkpoint has it so (${linear.format})`,
    activations: activations === "plain" ? "activations are plain unless asked for" : `asked for; ${scale}`,
  };
}

/** Files as they are: the device converts what the plan stores otherwise. Shapes are those of the model's axes. */
export function weightSource(parameters: readonly Parameter[], stored: StoredModel): Record<string, Weight> {
  return Object.fromEntries(
    parameters.flatMap(({ name, axes }): [string, Weight][] => {
      const sizes = axes.map(({ size }) => maxSize(size));
      const linear = stored.linears.get(name);
      if (linear !== undefined) return quantizedWeights(name, sizes, linear);
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
  const scalar = (value: number): DataWeight => ({
    kind: "data",
    data: Float32Array.of(value),
    dtype: "f32",
    shape: [],
  });
  const found: [string, Weight][] = [[name, weight]];
  if (stored !== undefined) found.push([tensorScaleName(name), scalar(tensorScale)]);
  if (input !== undefined) {
    const encodeScale = input.form === "divide" ? input.value : 1 / input.value;
    found.push([inputEncodeScaleName(name), scalar(encodeScale)]);
  }
  return found;
}

/** The sizes of the axes; those that are contracted together, the last ones, are one. */
function matrixShape(sizes: readonly number[], columns: number): number[] {
  let [inner, first] = [1, sizes.length];
  while (first > 0 && inner < columns) inner *= sizes[--first]!;
  return [...sizes.slice(0, first), inner];
}
