/**
 * Finds out how each linear of a checkpoint is stored, by the names of tensors alone: sizes and values look alike in all
 * formats, and a checkpoint may hold plain and quantised layers side by side.
 */
import * as Either from "fp-ts/lib/Either.js";
import { type Checked, type Problem, type Problems, unlessProblems } from "../../config/problems.ts";
import type { Checkpoint } from "../checkpoint.ts";
import type { TensorEntry } from "../header.ts";
import { twoForms } from "./parts.ts";
import { datParts } from "./parts-of-dat.ts";
import { safetensorsParts } from "./parts-of-safetensors.ts";
import type { QuantizedLinear } from "./quantized-linear.ts";
import { quantizedLinear } from "./read-parts.ts";

export interface StoredWeights {
  /** By the parameter that each stands for, in file order. */
  readonly linears: ReadonlyMap<string, QuantizedLinear>;
  /** All tensors that are no part of a quantised linear, by their names. */
  readonly plain: ReadonlyMap<string, TensorEntry>;
}

/**
 * Reads names and shapes, and the one number of each tensor scale; block scales are checked by `checkScales`.
 *
 * Left: every linear with a part that is missing, doubled, misshapen or of another type, a tensor scale that is no
 * positive number, a linear that is there in two forms; all together, each with the tensor's name.
 */
export function storedWeights(checkpoint: Checkpoint): Either.Either<Problems, StoredWeights> {
  const known = found.get(checkpoint) ?? findLinears(checkpoint);
  found.set(checkpoint, known);
  return known;
}

/** What is opened does not change, and several parts of opening a model ask. */
const found = new WeakMap<Checkpoint, Either.Either<Problems, StoredWeights>>();

function findLinears(checkpoint: Checkpoint): Checked<StoredWeights> {
  const { linears: all, problems: broken } =
    checkpoint.kind === "dat" ? datParts(checkpoint) : safetensorsParts(checkpoint);
  const problems: Problem[] = [...broken];
  const linears = new Map<string, QuantizedLinear>();
  const plain = new Map(checkpoint.tensors);
  for (const parts of all) {
    for (const part of [parts.codes, parts.scales, parts.tensorScale, parts.inputScale]) {
      if (part !== undefined) plain.delete(part.name);
    }
    const linear = quantizedLinear(parts);
    if (Either.isLeft(linear)) problems.push(...linear.left);
    else linears.set(parts.name, linear.right);
  }
  for (const name of linears.keys()) {
    const other = plain.get(name);
    if (other !== undefined) problems.push(twoForms(other.file, name, [linears.get(name)!.codes.name, name]));
  }
  return unlessProblems(problems, () => ({ linears, plain }));
}
