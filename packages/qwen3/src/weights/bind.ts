/** Finds the stored tensor of every parameter that a model asks for, and says all that does not fit at once. */

import { nearestName } from "@weft/dsl";
import type * as Either from "fp-ts/lib/Either.js";
import { type Problem, type Problems, unlessProblems, userProblem } from "../config/problems.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { TensorDtype } from "./dtype.ts";
import type { TensorEntry } from "./header.ts";

/** A parameter as the model wants it. */
export interface RequiredTensor {
  /** The full Hugging Face name, `model.layers.3.self_attn.q_proj.weight`. */
  readonly name: string;
  /** Sizes as stored: `[outputs, inputs]` for a linear layer. */
  readonly shape: readonly number[];
  /** The element types that the caller can use. */
  readonly dtypes: readonly TensorDtype[];
}

export interface BoundWeights {
  /** One entry per required tensor, in the order they were asked for. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /**
   * Stored tensors that nothing asked for, in file order. Not an error: a tied checkpoint may carry
   * `lm_head.weight` beside the embedding.
   */
  readonly unused: readonly string[];
}

/**
 * Binds required parameters to stored tensors.
 *
 * Left: every missing, misshapen or wrongly typed parameter, each with its name as `path`, in the order asked for.
 */
export function bindWeights(
  required: readonly RequiredTensor[],
  checkpoint: Checkpoint,
): Either.Either<Problems, BoundWeights> {
  const asked = new Set(required.map(({ name }) => name));
  const unused = [...checkpoint.tensors.keys()].filter((name) => !asked.has(name));
  const hints = hintsFor(unused);
  const tensors = new Map<string, TensorEntry>();
  const problems: Problem[] = [];
  for (const want of required) {
    const entry = checkpoint.tensors.get(want.name);
    if (entry === undefined) {
      const hint = hints(want.name);
      problems.push(
        userProblem(checkpoint.source, "a parameter of the model must be in the checkpoint", {
          given: "no such tensor",
          path: want.name,
          remedy:
            hint === undefined
              ? `add ${want.dtypes[0] ?? "a tensor"} [${want.shape.join(", ")}], or check that config.json belongs to these weights`
              : `did you mean ${hint}?`,
        }),
      );
      continue;
    }
    const sameShape =
      entry.shape.length === want.shape.length &&
      entry.shape.every((size, axis) => size === want.shape[axis]);
    if (!sameShape) {
      problems.push(
        userProblem(entry.file, `must have the shape [${want.shape.join(", ")}]`, {
          given: `[${entry.shape.join(", ")}]`,
          path: want.name,
          remedy: "check that config.json belongs to these weights",
        }),
      );
    }
    if (!want.dtypes.includes(entry.dtype)) {
      problems.push(
        userProblem(entry.file, `must be stored as ${want.dtypes.join(" or ")}`, {
          given: entry.dtype,
          path: want.name,
          remedy: "convert the checkpoint",
        }),
      );
    }
    tensors.set(want.name, entry);
  }
  return unlessProblems(problems, () => ({ tensors, unused }));
}

/**
 * What a missing name was probably meant to be: the same name with or without a prefix (`model.` left out, or
 * `module.` in front), else the nearest spelling.
 */
function hintsFor(unused: readonly string[]): (name: string) => string | undefined {
  const available = new Set(unused);
  return (name) => {
    for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) {
      const suffix = name.slice(dot + 1);
      // One word like `weight` is the end of every name and says nothing.
      if (suffix.includes(".") && available.has(suffix)) return suffix;
    }
    const longer = unused.find((candidate) => candidate.endsWith(`.${name}`));
    return longer ?? nearestName(name, unused);
  };
}
